use super::{Given, at, json, parse, parse_with};
use crate::Value;

#[test]
fn separators_are_equal_colon_or_blank_and_ends_are_many() {
    assert_eq!(
        json("foo='1'; bar=2.2; baz=true; boo=22"),
        r#"{"bar":2.2,"baz":true,"boo":22,"foo":"1"}"#
    );
    for text in [
        "foo = 123",
        "foo=123",
        "foo:123",
        "foo: 123",
        "foo : 123",
        "foo 123",
        "foo\t\t123\r\n",
        "'foo' : 123",
    ] {
        assert_eq!(json(text), r#"{"foo":123}"#, "{text:?}");
    }
    assert_eq!(
        json("foo {a: 1, b: 2; c 3\n d = 4}"),
        r#"{"foo":{"a":1,"b":2,"c":3,"d":4}}"#
    );
    assert_eq!(json("\" foo\" : 1"), r#"{" foo":1}"#);
}

#[test]
fn switches_are_words_in_any_case() {
    for on in ["true", "TRUE", "yes", "on", "On"] {
        assert_eq!(json(&format!("foo={on}")), r#"{"foo":true}"#);
    }
    for off in ["false", "False", "no", "off"] {
        assert_eq!(json(&format!("foo={off}")), r#"{"foo":false}"#);
    }
    assert_eq!(json("foo='true'"), r#"{"foo":"true"}"#);
}

#[test]
fn numbers_take_decimal_and_binary_suffixes() {
    let cases = [
        ("8k", 8_000),
        ("4kb", 4 << 10),
        ("3ki", 3 << 10),
        ("4kib", 4 << 10),
        ("1m", 1_000_000),
        ("2MB", 2 << 20),
        ("2Mi", 2 << 20),
        ("64MiB", 64 << 20),
        ("2g", 2_000_000_000),
        ("22GB", 22 << 30),
        ("22TiB", 22 << 40),
        ("22Pi", 22 << 50),
        ("7e", 7_000_000_000_000_000_000),
        ("-1m", -1_000_000),
        ("-123", -123),
        ("9223372036854775807", i64::MAX),
    ];
    for (text, expected) in cases {
        assert_eq!(
            at(&parse(&format!("foo = {text}")), &["foo"]).value,
            Value::Integer(expected),
            "{text}"
        );
    }
    assert_eq!(
        json("foo = 22.2 \n bar = 0.0000001"),
        r#"{"bar":1e-7,"foo":22.2}"#
    );
}

#[test]
fn what_starts_like_a_number_may_be_a_string() {
    for text in [
        "3xyz",
        "1Ghz",
        "2Pie",
        "3Mbs",
        "5Gø",
        "2s",
        "300ms",
        "127.0.0.1:4222",
        "0.0.0.0:-1",
        "1.2.3",
    ] {
        assert_eq!(json(&format!("foo = {text},")), format!(r#"{{"foo":"{text}"}}"#));
    }
    // The trap of the grammar: minutes need quotes.
    assert_eq!(json("foo = 2m"), r#"{"foo":2000000}"#);
}

#[test]
fn dates_are_in_full_zulu_form() {
    let map = parse("now = 2016-05-04T18:53:41Z\ngmt = false");
    assert_eq!(
        at(&map, &["now"]).value,
        Value::Datetime("2016-05-04T18:53:41Z".into())
    );
    assert_eq!(
        at(&parse("leap = 2024-02-29T00:00:00Z"), &["leap"]).value,
        Value::Datetime("2024-02-29T00:00:00Z".into())
    );
}

#[test]
fn strings_have_escapes_only_outside_single_quotes() {
    assert_eq!(json(r"foo = 'bar\r\n  \t'"), r#"{"foo":"bar\\r\\n  \\t"}"#);
    assert_eq!(
        json("foo = \\t\nbar = \\r\nq = \\\"\nbs = \\\\"),
        r#"{"bar":"\r","bs":"\\","foo":"\t","q":"\""}"#
    );
    for (text, expected) in [
        (r#""\\end""#, r"\\end"),
        (r#""start\\""#, r"start\\"),
        (r"\x45\x71", "Eq"),
        (r"start\x7Cend", "start|end"),
        (r#""a\x20b c""#, "a b c"),
        (r"\x65", "e"),
    ] {
        assert_eq!(
            json(&format!("foo = {text}")),
            format!(r#"{{"foo":"{expected}"}}"#),
            "{text}"
        );
    }
    assert_eq!(json("text = 'two\nlines.'"), r#"{"text":"two\nlines."}"#);
    assert_eq!(json("foo = bar' "), r#"{"foo":"bar"}"#);
}

#[test]
fn raw_blocks_end_at_a_parenthesis_alone_on_its_line() {
    assert_eq!(
        json("\nnumbers (\n1234567890\n)\n"),
        r#"{"numbers":"\n1234567890\n"}"#
    );
    assert_eq!(
        json("numbers = (\n  12(34)56\n  (\n    7890\n  )\n)\n b = 1"),
        r#"{"b":1,"numbers":"\n  12(34)56\n  (\n    7890\n  )\n"}"#
    );
}

#[test]
fn arrays_are_split_by_commas_or_lines() {
    for text in [
        "foo = [1, 2, 3, 'bar']",
        "foo = [1,2,3,'bar']",
        "foo = [\n1 # One\n2, // Two\n\n3\n \"bar\"\n]",
    ] {
        assert_eq!(json(text), r#"{"foo":[1,2,3,"bar"]}"#, "{text}");
    }
    assert_eq!(
        json("array [\n { abc: 123 }\n { xyz: \"word\" }\n]"),
        r#"{"array":[{"abc":123},{"xyz":"word"}]}"#
    );
    assert_eq!(json("a = [ [1 , 2 ], [] ]"), r#"{"a":[[1,2],[]]}"#);
}

#[test]
fn comments_stand_anywhere_between_values() {
    let text = "# top\nfoo = { // map\n  ip = '127.0.0.1' # the IP\n  port= 4242 // the port\n}\n// end";
    assert_eq!(json(text), r#"{"foo":{"ip":"127.0.0.1","port":4242}}"#);
    assert_eq!(json("# nothing but this"), "{}");
}

#[test]
fn a_file_may_be_wrapped_like_json() {
    assert_eq!(json("{}"), "{}");
    assert_eq!(json("{\n  \"port\": 4567\n}"), r#"{"port":4567}"#);
    assert_eq!(
        json(
            "{ \"jetstream\": { \"store_dir\": \"d\"\n \"max_mem\": 1000000, }, \"port\": 4222, \"n\": [{\"a\": true}] }"
        ),
        r#"{"jetstream":{"max_mem":1000000,"store_dir":"d"},"n":[{"a":true}],"port":4222}"#
    );
    assert_eq!(
        json("{ { listen: 0.0.0.0:4222 // c\n } # w\n }\n# end"),
        r#"{"listen":"0.0.0.0:4222"}"#
    );
    assert_eq!(
        json("accounts { users = [{}]}\n }\n"),
        r#"{"accounts":{"users":[{}]}}"#
    );
}

#[test]
fn variables_are_looked_up_in_the_open_blocks() {
    let map = parse("index = 22\nnest {\n index = 11\n foo = $index\n}\nbar = $index");
    assert_eq!(at(&map, &["nest", "foo"]).value, Value::Integer(11));
    assert_eq!(at(&map, &["bar"]).value, Value::Integer(22));
    assert!(at(&map, &["index"]).is_variable);
    assert!(!at(&map, &["bar"]).is_variable);
    assert_eq!(
        json("P = {publish: a}\nusers = [{user: x, permissions: $P}]"),
        concat!(
            r#"{"P":{"publish":"a"},"#,
            r#""users":[{"permissions":{"publish":"a"},"user":"x"}]}"#
        )
    );
}

#[test]
fn variables_come_from_the_environment_last() {
    let given = Given::variables(&[
        ("N", "22"),
        ("S", "3Gyz"),
        ("Q", "'3xyz'"),
        ("M", "{a: $N}"),
        ("V", "x"),
    ]);
    let map = parse_with("n = $N\ns = $S\nq = $Q\nm = $M\nV = y\nv = $V", &given).unwrap();
    assert_eq!(
        map.canonical_json(),
        "{\"V\":\"y\",\"m\":{\"a\":22},\"n\":22,\"q\":\"3xyz\",\"s\":\"3Gyz\",\"v\":\"y\"}\n"
    );
}

#[test]
fn bcrypt_hashes_need_no_quotes() {
    assert_eq!(json("password: $2a$11$ooo"), r#"{"password":"$2a$11$ooo"}"#);
}

#[test]
fn includes_are_merged_where_they_stand() {
    let given = Given::files(&[
        ("./sub/users.conf", "PASS: $2a$10$x\ninclude 'more.conf'"),
        ("sub/users.conf", "PASS: $2a$10$x\ninclude 'more.conf'"),
        ("sub/more.conf", "timeout: 0.5"),
        ("etc/x.conf", "etc: 1"),
    ]);
    let map = parse_with(
        "authorization {\n include ./sub/users.conf\n user: a, pass: $PASS }\ninclude \"/etc/x.conf\"",
        &given,
    );
    assert_eq!(
        map.unwrap().canonical_json(),
        "{\"authorization\":{\"PASS\":\"$2a$10$x\",\"pass\":\"$2a$10$x\",\"timeout\":0.5,\"user\":\"a\"},\"etc\":1}\n"
    );
}

#[test]
fn a_later_value_replaces_an_earlier_one() {
    assert_eq!(json("a = 1\na = 2"), r#"{"a":2}"#);
}

#[test]
fn a_key_without_a_value_takes_its_map() {
    // nats-server gives `b` the map that was `a`'s, and `a` nothing.
    assert_eq!(json("a { b = }\n c = 1"), r#"{"b":{},"c":1}"#);
}
