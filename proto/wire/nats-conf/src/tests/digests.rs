use super::{Given, parse, parse_with};
use crate::Map;

fn sha256(map: &Map) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, map.canonical_json().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn syntax_does_not_change_the_digest() {
    for text in [
        "foo = bar",
        "# c\n  foo = bar\n ",
        "'foo': 'bar'",
        "{ 'foo': 'bar' }",
    ] {
        assert_eq!(
            sha256(&parse(text)),
            "226e49e13d16e5e8aa0d62e58cd63361bf097d3e2b2444aa3044334628a2e8de",
            "{text}"
        );
    }
}

#[test]
fn variables_and_includes_count_as_what_they_stand_for() {
    let text = "# substitutions\nBAR_USERS = { users = [ {user = \"bar\"} ]}\nhello = 'world'\naccounts {\n \
                QUUX_USERS = [ { user: quux }]\n bar = $BAR_USERS\n quux = { users = $QUUX_USERS }\n}\n\
                very { nested { env { VAR = 'NESTED', quux = $VAR }}}\n";
    assert_eq!(
        sha256(&parse(text)),
        "bddb282343249c26d3edcef9bfaa9d2711505fc67210380e871405ba394a9186"
    );
    let given = Given::files(&[
        ("foo.conf", " users = [{user = \"foo\"}]"),
        ("quux.conf", " users = [{user = \"quux\"}]"),
    ]);
    let text = "accounts {\n foo { include 'foo.conf'}\n bar { users = [{user = \"bar\"}] }\n quux { include 'quux.conf'}\n}";
    assert_eq!(
        sha256(&parse_with(text, &given).unwrap()),
        "e72d70c91b64b0f880f86decb95ec2600cbdcf8bdcd2355fce5ebc54a84a77e9"
    );
}

#[test]
fn json_is_written_as_gos_encoder_writes_it() {
    let text = "a = \"<b>&\\x01\\t\\n\\r\\x08\\x0c\\\\ \\\" \u{2028}é\"\nf = 2.0\nbig = 15000000000000000000000.0\nsmall = -0.00000015";
    assert_eq!(
        parse(text).canonical_json(),
        "{\"a\":\"\\u003cb\\u003e\\u0026\\u0001\\t\\n\\r\\b\\f\\\\ \\\" \\u2028é\",\"big\":1.5e+22,\"f\":2,\
         \"small\":-1.5e-7}\n"
    );
}
