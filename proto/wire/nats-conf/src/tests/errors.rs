use super::{Given, error, parse_with};

#[test]
fn syntax_errors_read_as_nats_server_prints_them() {
    let cases = [
        (
            "foo = xyz\\x\n",
            2,
            r"Expected two hexadecimal digits after '\x', but hit end of line",
        ),
        (
            "foo = \"[\\x]\"",
            1,
            r#"Expected two hexadecimal digits after '\x', but got ']"'"#,
        ),
        (
            "foo = \"[\\xe]\"",
            1,
            r"Expected two hexadecimal digits after '\x', but got 'e]'",
        ),
        ("foo = .2", 1, "Floats must start with a digit"),
        ("foo = -.2", 1, "Floats must start with a digit, not '.'."),
        ("foo = -x", 1, "Expected a digit but got 'x'."),
        (
            "foo = 1.x",
            1,
            "Floats must have a digit after the '.', but got 'x' instead.",
        ),
        (" :foo = 22", 1, "Unexpected key separator ':'"),
        ("a { = 1}", 1, "Unexpected key separator '='."),
        ("a { ] }", 1, "Unexpected array end ']' processing map."),
        ("a {", 1, "Unexpected EOF processing map."),
        ("a { b", 1, "Unexpected EOF processing map key."),
        ("a { 'b", 1, "Unexpected EOF processing quoted map key."),
        ("a { \"b", 1, "Unexpected EOF processing double quoted map key."),
        ("a { b = , }", 1, "Unexpected map value terminator \",\"."),
        (
            "a { b = 1.5x }",
            1,
            "Expected a map value terminator \",\" or a map terminator \"}\", but got 'x' instead.",
        ),
        (
            "a = [1 2]",
            1,
            "Expected an array value terminator \",\" or an array terminator \"]\", but got '2' instead.",
        ),
        ("a = [,1]", 1, "Unexpected array value terminator ','."),
        ("foo: \n", 2, "Expected value but found new line"),
        ("foo = \"bar", 1, "Unexpected EOF."),
        ("foo = 'bar", 1, "Unexpected EOF."),
        ("'foo", 1, "Unexpected EOF."),
        ("/x", 1, "Unexpected EOF."),
        ("foo = (\n a\n", 3, "Unexpected EOF processing block."),
        ("foo = 12-3", 1, "All ISO8601 dates must be in full Zulu form."),
        (
            "foo = 2016-05-04",
            1,
            "Expected 'T' in ISO8601 datetime, but found '\0' instead.",
        ),
        (
            "foo = 2016-x",
            1,
            "Expected digit in ISO8601 datetime, but found 'x' instead.",
        ),
        (
            "{ a = 1.5x }",
            1,
            "Expected a block-level value to end with a new line, comment or EOF, but got 'x' instead.",
        ),
        (
            "{ {} x }",
            1,
            "Expected a block-level to end with a '}', but got 'x' instead.",
        ),
        (
            "\nlisten: 127.0.0.1:4222foo\n",
            2,
            "Expected a top-level value to end with a new line, comment or EOF, but got 'f' instead.",
        ),
        (
            "port = \"\\q\"",
            1,
            r#"Invalid escape character 'q'. Only the following escape characters are allowed: \xXX, \t, \n, \r, \", \\."#,
        ),
        (
            "include [a]",
            1,
            "Expected include value but found start of an array",
        ),
        (
            "include {a}",
            1,
            "Expected include value but found start of a map",
        ),
        (
            "include (a)",
            1,
            "Expected include value but found start of a block",
        ),
        (
            "include 5",
            1,
            "Expected include value but found start of a number",
        ),
        (
            "include \\a",
            1,
            "Expected include value but found escape sequence",
        ),
        ("include \n", 2, "Expected include value but found new line"),
        ("include \"9/", 1, "Unexpected EOF in double quoted include"),
        ("include '9/", 1, "Unexpected EOF in quoted include"),
        ("A@@Føøøø?˛ø:{øøøø˙˙", 1, "Unexpected EOF processing map key."),
    ];
    for (text, line, reason) in cases {
        assert_eq!(
            error(text),
            format!("Parse error on line {line}: '{reason}'"),
            "{text:?}"
        );
    }
}

#[test]
fn a_file_that_ends_in_a_key_is_invalid() {
    let cases = [
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "1:41"),
        ("     aaaaaaaaaaaaaaaaaaaaaaaaaaa         ", "1:41"),
        ("\n  # comments\n  # only\n  aaaa\n    ", "5:5"),
        ("\n   a,a,a,a\n   ", "3:4"),
        ("foo", "1:3"),
        ("foo = \"", "1:7"),
    ];
    for (text, place) in cases {
        assert_eq!(
            error(text),
            format!("config is invalid (a.conf:{place})"),
            "{text:?}"
        );
    }
}

#[test]
fn values_without_a_meaning_are_refused() {
    assert_eq!(
        error("a = 99999999999999999999"),
        "integer '99999999999999999999' is out of the range"
    );
    for date in [
        "2016-13-04T18:53:41Z",
        "2023-02-29T00:00:00Z",
        "2016-05-04T24:00:00Z",
        "2016-00-04T18:53:41Z",
    ] {
        assert_eq!(
            error(&format!("a = {date}")),
            format!("expected Zulu formatted DateTime, but got '{date}'")
        );
    }
}

#[test]
fn unknown_variables_and_cycles_are_refused() {
    assert_eq!(
        error("foo=$index"),
        "variable reference for 'index' on line 1 can not be found"
    );
    let given = Given::variables(&[("A", "$B"), ("B", "$A"), ("C", "[1 2]")]);
    let broken = |text| parse_with(text, &given).unwrap_err().to_string();
    assert_eq!(
        broken("x = $A"),
        "variable reference for 'A' on line 1 could not be parsed: variable reference for 'B' on line 1 could not \
         be parsed: variable reference for 'A' on line 1 could not be parsed: variable reference cycle for 'A'"
    );
    assert_eq!(
        broken("\n x = $C"),
        "variable reference for 'C' on line 2 could not be parsed: Parse error on line 1: 'Expected an array value \
         terminator \",\" or an array terminator \"]\", but got '2' instead.'"
    );
}

#[test]
fn broken_includes_name_the_file() {
    let given = Given::files(&[
        ("b.conf", "????"),
        ("c.conf", "x = \"\\q\""),
        ("d.conf", "include nope.conf"),
    ]);
    let broken = |text| parse_with(text, &given).unwrap_err().to_string();
    assert_eq!(
        broken("include b.conf"),
        "error parsing include file 'b.conf', config is invalid (b.conf:1:4)"
    );
    assert!(
        broken("include c.conf")
            .starts_with("error parsing include file 'c.conf', Parse error on line 1: 'Inv")
    );
    assert_eq!(
        broken("include d.conf"),
        "error parsing include file 'd.conf', error parsing include file 'nope.conf', open nope.conf: no such file \
         or directory"
    );
}
