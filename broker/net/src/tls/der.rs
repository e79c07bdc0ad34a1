//! Just enough DER to find the names and the public key of a certificate that rustls has already verified.

/// Universal and context tags this crate looks at (X.690 section 8, RFC 5280 appendix A).
pub mod tag {
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const NUMERIC_STRING: u8 = 0x12;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const T61_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    pub const VERSION: u8 = 0xa0;
    pub const EXTENSIONS: u8 = 0xa3;
    pub const SAN_EMAIL: u8 = 0x81;
    pub const SAN_DNS: u8 = 0x82;
    pub const SAN_URI: u8 = 0x86;
}

/// One element: its tag, its content, and all its bytes with the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

/// Reads elements one after the other; `None` at the end and at anything malformed.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, after_tag) = self.0.split_first()?;
        let (&first, after_first) = after_tag.split_first()?;
        let (len, body) = match first {
            0..=0x7f => (usize::from(first), after_first),
            0x81..=0x83 => {
                let (bytes, body) = after_first.split_at_checked(usize::from(first & 0x7f))?;
                (
                    bytes.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)),
                    body,
                )
            }
            _ => return None,
        };
        let (content, rest) = body.split_at_checked(len)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Element { tag, content, whole })
    }

    /// The next element, if it has this tag.
    pub fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// A reader over the content of the next element, if that has this tag.
    pub fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.take(tag).map(|element| Reader(element.content))
    }
}

/// The parts of a certificate that name its holder (RFC 5280 section 4.1).
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The subject's sequence of relative distinguished names.
    pub subject: Reader<'a>,
    /// SubjectPublicKeyInfo with its header.
    pub spki: &'a [u8],
    extensions: Option<Reader<'a>>,
}

impl<'a> Certificate<'a> {
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut tbs = Reader(der).enter(tag::SEQUENCE)?.enter(tag::SEQUENCE)?;
        let mut ahead = tbs;
        if ahead.take(tag::VERSION).is_some() {
            tbs = ahead;
        }
        for _serial_algorithm_issuer_validity in 0..4 {
            tbs.next()?;
        }
        let subject = tbs.enter(tag::SEQUENCE)?;
        let spki = tbs.take(tag::SEQUENCE)?.whole;
        let mut extensions = None;
        while let Some(element) = tbs.next() {
            if element.tag == tag::EXTENSIONS {
                extensions = Reader(element.content).enter(tag::SEQUENCE);
            }
        }
        Some(Self {
            subject,
            spki,
            extensions,
        })
    }

    /// The general names of the subjectAltName extension; empty without it.
    pub fn alternative_names(&self) -> Reader<'a> {
        const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
        let mut extensions = self.extensions.unwrap_or(Reader(&[]));
        while let Some(mut extension) = extensions.enter(tag::SEQUENCE) {
            if extension
                .take(tag::OID)
                .is_none_or(|oid| oid.content != SUBJECT_ALT_NAME)
            {
                continue;
            }
            while let Some(element) = extension.next() {
                if element.tag == tag::OCTET_STRING {
                    return Reader(element.content)
                        .enter(tag::SEQUENCE)
                        .unwrap_or(Reader(&[]));
                }
            }
        }
        Reader(&[])
    }
}
