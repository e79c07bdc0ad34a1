//! Distinguished names: from a certificate, from the text an operator writes (RFC 4514), and as Go prints them.

use super::der::{Reader, tag};

/// Attribute types with a short name, as nats-server knows them.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.17", "POSTALCODE"),
    (DOMAIN_COMPONENT, "DC"),
];
const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";

/// The order in which Go's `pkix.Name` lists the attributes it knows, whatever the certificate's order was.
const GO_ORDER: [&str; 9] = [
    "C",
    "O",
    "OU",
    "L",
    "ST",
    "STREET",
    "POSTALCODE",
    "CN",
    "SERIALNUMBER",
];

/// The subject of a certificate: relative names in the certificate's order, each a set of (dotted OID, value).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject(Vec<Vec<(String, String)>>);

impl Subject {
    /// `None` when an attribute is malformed or not a string.
    pub(super) fn from_der(mut names: Reader<'_>) -> Option<Self> {
        let mut subject = Vec::new();
        while !names.0.is_empty() {
            let mut set = names.enter(tag::SET)?;
            let mut relative = Vec::new();
            while !set.0.is_empty() {
                let mut pair = set.enter(tag::SEQUENCE)?;
                relative.push((dotted(pair.take(tag::OID)?.content)?, text(&mut pair)?));
            }
            subject.push(relative);
        }
        Some(Self(subject))
    }

    /// As Go's `Subject.ToRDNSequence().String()`: known attributes only, in Go's own fixed order, joined values of a
    /// type with `+`.
    pub fn to_go_string(&self) -> String {
        let mut parts = Vec::new();
        for short in GO_ORDER.iter().rev() {
            let mut values: Vec<&str> = self.values(short).collect();
            if matches!(*short, "CN" | "SERIALNUMBER") {
                values = values
                    .into_iter()
                    .next_back()
                    .into_iter()
                    .filter(|value| !value.is_empty())
                    .collect();
            }
            if !values.is_empty() {
                let pairs: Vec<_> = values
                    .iter()
                    .map(|value| format!("{short}={}", escape(value)))
                    .collect();
                parts.push(pairs.join("+"));
            }
        }
        parts.join(",")
    }

    /// The domain components as nats-server appends them to Go's string: `DC=a,DC=b`, in the certificate's order.
    pub fn domain_components(&self) -> String {
        self.values("DC")
            .map(|value| format!("DC={value}"))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// For comparison; `None` when an attribute has no short name.
    pub fn distinguished_name(&self) -> Option<DistinguishedName> {
        let mut names = Vec::with_capacity(self.0.len());
        for relative in self.0.iter().rev().filter(|relative| !relative.is_empty()) {
            let pairs = relative
                .iter()
                .rev()
                .map(|(oid, value)| Some((short_name(oid)?.to_owned(), value.clone())));
            names.push(RelativeName(pairs.collect::<Option<_>>()?));
        }
        Some(DistinguishedName(names))
    }

    fn values(&self, short: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().flatten();
        pairs
            .filter(move |(oid, _)| short_name(oid) == Some(short))
            .map(|(_, value)| value.as_str())
    }
}

/// A distinguished name in the order of its text form: most specific part first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<RelativeName>);

/// One part: (type, value) pairs; neither their order nor the case of a type matters.
#[derive(Clone, Debug)]
struct RelativeName(Vec<(String, String)>);

impl PartialEq for RelativeName {
    fn eq(&self, other: &Self) -> bool {
        let holds = |names: &Self, (kind, value): &(String, String)| {
            names
                .0
                .iter()
                .any(|(k, v)| k.eq_ignore_ascii_case(kind) && v == value)
        };
        self.0.len() == other.0.len()
            && self.0.iter().all(|pair| holds(other, pair))
            && other.0.iter().all(|pair| holds(self, pair))
    }
}

impl Eq for RelativeName {}

impl DistinguishedName {
    /// Reads RFC 4514 text, for example `CN=bob,OU=dev,O=acme`. `None` if it is not one (also: `#` BER values).
    pub fn parse(text: &str) -> Option<Self> {
        let mut names = Vec::new();
        let mut relative = Vec::new();
        let mut rest = text;
        while !rest.trim_start_matches(' ').is_empty() {
            let (kind, after_kind) = rest.split_once('=')?;
            let kind = kind.trim_matches(' ');
            if kind.is_empty() || kind.contains(['\\', ',', '+']) || after_kind.starts_with('#') {
                return None;
            }
            let (value, end, after) = parse_value(after_kind)?;
            relative.push((kind.to_owned(), value));
            if end != Some('+') {
                names.push(RelativeName(std::mem::take(&mut relative)));
            }
            rest = after;
        }
        relative.is_empty().then_some(Self(names))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both have the same parts, in whatever order.
    pub fn has_same_parts(&self, other: &Self) -> bool {
        let mut left: Vec<_> = other.0.iter().collect();
        self.0.len() == other.0.len()
            && self.0.iter().all(
                |part| match left.iter().position(|candidate| *candidate == part) {
                    Some(at) => {
                        left.swap_remove(at);
                        true
                    }
                    None => false,
                },
            )
    }
}

impl std::fmt::Display for DistinguishedName {
    /// RFC 2253 form.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, RelativeName(pairs)) in self.0.iter().enumerate() {
            for (j, (kind, value)) in pairs.iter().enumerate() {
                let separator = if j > 0 {
                    "+"
                } else if i > 0 {
                    ","
                } else {
                    ""
                };
                write!(f, "{separator}{kind}={}", escape(value))?;
            }
        }
        Ok(())
    }
}

/// One value up to an unescaped `,` or `+`: the value, the separator, and what follows it.
fn parse_value(text: &str) -> Option<(String, Option<char>, &str)> {
    let bytes = text.as_bytes();
    let mut value = Vec::new();
    let mut kept = 0;
    let mut at = 0;
    let mut separator = None;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b',' | b'+' => {
                separator = Some(char::from(byte));
                break;
            }
            b'\\' => {
                let (unescaped, len) = unescape(&bytes[at..])?;
                value.push(unescaped);
                at += len;
                kept = value.len();
            }
            b' ' if value.is_empty() => {}
            _ => {
                value.push(byte);
                if byte != b' ' {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    Some((String::from_utf8(value).ok()?, separator, text.get(at..)?))
}

/// What stands after a backslash: a special character, or two hex digits.
fn unescape(after: &[u8]) -> Option<(u8, usize)> {
    let &first = after.first()?;
    if b" \"#+,;<=>\\".contains(&first) {
        return Some((first, 1));
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some((digit(first)? << 4 | digit(*after.get(1)?)?, 2))
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        let special = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => at == 0 || at == value.len() - 1,
            '#' => at == 0,
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn short_name(oid: &str) -> Option<&'static str> {
    SHORT_NAMES
        .iter()
        .find(|(dotted, _)| *dotted == oid)
        .map(|(_, short)| *short)
}

/// An object identifier's content as `2.5.4.3`.
fn dotted(content: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for &byte in content {
        arc = arc.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let root = (arc / 40).min(2);
                arcs.extend([root, arc - root * 40]);
            } else {
                arcs.push(arc);
            }
            arc = 0;
        }
    }
    let arcs: Vec<_> = arcs.iter().map(u64::to_string).collect();
    Some(arcs.join("."))
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    let element = reader.next()?;
    match element.tag {
        tag::UTF8_STRING
        | tag::NUMERIC_STRING
        | tag::PRINTABLE_STRING
        | tag::T61_STRING
        | tag::IA5_STRING => String::from_utf8(element.content.to_vec()).ok(),
        tag::BMP_STRING => {
            let units = element
                .content
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn subject(pairs: &[(&str, &str)]) -> Subject {
        Subject(
            pairs
                .iter()
                .map(|(oid, value)| vec![((*oid).to_owned(), (*value).to_owned())])
                .collect(),
        )
    }

    #[test]
    fn go_lists_known_attributes_in_its_own_order() {
        let subject = subject(&[
            ("0.9.2342.19200300.100.1.25", "com"),
            ("2.5.4.3", "bob, the #1"),
            ("2.5.4.11", "a"),
            ("2.5.4.11", "b"),
            ("2.5.4.10", "acme"),
        ]);
        assert_eq!(subject.to_go_string(), "CN=bob\\, the #1,OU=a+OU=b,O=acme");
        assert_eq!(subject.domain_components(), "DC=com");
        let name = subject.distinguished_name().unwrap();
        assert_eq!(name.to_string(), "O=acme,OU=b,OU=a,CN=bob\\, the #1,DC=com");
        assert_eq!(DistinguishedName::parse(&name.to_string()).unwrap(), name);
    }

    #[test]
    fn text_form_is_read_as_rfc_4514_says() {
        let parse = DistinguishedName::parse;
        assert_eq!(
            parse("CN=a, ou = b ,O=c").unwrap(),
            parse("cn=a,OU=b,o=c").unwrap()
        );
        assert_eq!(parse("CN=x+OU=y,O=z").unwrap(), parse("OU=y+CN=x,O=z").unwrap());
        assert_eq!(parse("CN=\\41\\,b\\ ").unwrap().to_string(), "CN=A\\,b\\ ");
        assert_ne!(parse("CN=a,O=b").unwrap(), parse("O=b,CN=a").unwrap());
        assert!(
            parse("CN=a,O=b")
                .unwrap()
                .has_same_parts(&parse("O=b,CN=a").unwrap())
        );
        assert!(
            !parse("CN=a,CN=a")
                .unwrap()
                .has_same_parts(&parse("CN=a,CN=b").unwrap())
        );
        for bad in ["bob", "=x", "CN=#0401", "CN=a\\", "CN=a+", "CN=a\\g1"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn object_identifiers_are_dotted() {
        assert_eq!(dotted(&[0x55, 0x04, 0x03]).unwrap(), "2.5.4.3");
        assert_eq!(
            dotted(&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19]).unwrap(),
            DOMAIN_COMPONENT
        );
    }
}
