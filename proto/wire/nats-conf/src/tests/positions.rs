use super::{Given, at, parse, parse_with};

#[track_caller]
fn check(text: &str, path: &[&str], place: &str) {
    assert_eq!(
        at(&parse(text), path).at.to_string(),
        format!("a.conf:{place}"),
        "{path:?} in {text:?}"
    );
}

#[test]
fn a_value_in_a_map_stands_where_its_key_does() {
    check("foo = 1", &["foo"], "1:0");
    check(
        "\nfoo = {\n  ip = '127.0.0.1' # the IP\n  port= 4242\n}",
        &["foo"],
        "2:1",
    );
    check(
        "\nfoo = {\n  ip = '127.0.0.1' # the IP\n  port= 4242\n}",
        &["foo", "port"],
        "4:3",
    );
    check("foo = {ip='127.0.0.1', port = 4242}", &["foo", "port"], "1:23");
    check("\"foo\" : 123", &["foo"], "1:1");
    check("{\n  \"a\": 1,\n  \"b\": 2 }", &["b"], "3:4");
}

#[test]
fn a_value_in_an_array_has_a_place_of_its_own_and_a_map_its_end() {
    check("foo = [1, 2, 3, 'bar']", &["foo", "3"], "1:17");
    check(
        "foo = [\n {user: a}\n {user: b,\n  pass: c}\n]",
        &["foo", "0"],
        "2:11",
    );
    check(
        "foo = [\n {user: a}\n {user: b,\n  pass: c}\n]",
        &["foo", "1"],
        "4:11",
    );
}

#[test]
fn variables_stand_where_they_are_used_and_includes_in_their_file() {
    let given = Given::files(&[("inc/p.conf", "# passwords\nA: x\nB: y\n")]);
    let map = parse_with(
        "authorization {\n  include \"inc/p.conf\"\n  C: z\n  l = [$A]\n  u = $B\n}",
        &given,
    )
    .unwrap();
    let place = |path: &[&str]| at(&map, path).at.to_string();
    assert_eq!(place(&["authorization", "A"]), "inc/p.conf:2:1");
    assert_eq!(place(&["authorization", "B"]), "inc/p.conf:3:1");
    assert_eq!(place(&["authorization", "C"]), "a.conf:3:3");
    assert_eq!(place(&["authorization", "l", "0"]), "a.conf:4:9");
    assert_eq!(place(&["authorization", "u"]), "a.conf:5:3");
}
