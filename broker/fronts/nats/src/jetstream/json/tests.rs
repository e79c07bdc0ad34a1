use super::info::Success;
use super::request::{ConsumerCreate, List, MessageGet};
use super::stream::StreamConfig;
use super::*;

#[test]
fn nothing_is_an_empty_request() {
    let config: StreamConfig = read(b"", true).unwrap();
    assert_eq!(&*config.name, "");
    let list: List = read_optional(b"hello", true).unwrap();
    assert_eq!(list.offset(), 0);
    assert!(is_empty(b"") && is_empty(b"{}") && is_empty(b" { } "));
    assert!(!is_empty(b"x") && !is_empty(br#"{"a":1}"#) && !is_empty(b"[]"));
}

#[test]
fn null_is_a_field_that_is_not_there() {
    let get: MessageGet = read(br#"{"seq":7,"last_by_subj":null,"start_time":null}"#, true).unwrap();
    assert!(get.seq == 7 && get.last_by_subj.is_empty());
}

#[test]
fn unknown_fields_are_refused_if_strict() {
    let body = br#"{"stream_name":"S","config":{"colour":"red"}}"#;
    let error = read::<ConsumerCreate>(body, true).unwrap_err();
    assert_eq!(error.description, "invalid JSON: json: unknown field \"colour\"");
    assert_eq!((error.code, error.err_code), (400, 10025));
    assert!(read::<ConsumerCreate>(body, false).is_ok());
}

#[test]
fn bad_json() {
    for body in [
        &b"{"[..],
        b"[1]",
        br#"{"name":1}"#,
        br#"{"name":"S","retention":"some"}"#,
    ] {
        assert_eq!(read::<StreamConfig>(body, true).unwrap_err().err_code, 10025);
    }
}

#[test]
fn what_is_not_built_is_named() {
    let unbuilt = |body: &str| read::<StreamConfig>(body.as_bytes(), true).unwrap().unbuilt();
    assert_eq!(unbuilt(r#"{"mirror":{"name":"M"}}"#), Some("mirrors"));
    assert_eq!(unbuilt(r#"{"sources":[{"name":"M"}]}"#), Some("sources"));
    assert_eq!(unbuilt(r#"{"compression":"s2"}"#), None);
    assert_eq!(unbuilt(r#"{"placement":{"cluster":"","tags":[]}}"#), None);
    assert_eq!(unbuilt(r#"{"sources":[],"allow_msg_ttl":false}"#), None);
    let consumer = r#"{"config":{"priority_policy":"overflow","priority_groups":["A"]}}"#;
    let consumer: ConsumerCreate = read(consumer.as_bytes(), true).unwrap();
    assert_eq!(consumer.config.unbuilt(), Some("priority groups"));
}

#[test]
fn answers_say_what_they_are() {
    let text = |result| String::from_utf8(answer::<Success>("stream_delete", &result)).unwrap();
    assert_eq!(
        text(Ok(Success::DONE)),
        r#"{"type":"io.nats.jetstream.api.v1.stream_delete_response","success":true}"#
    );
    assert_eq!(
        text(Err(ApiError::not_empty())),
        r#"{"type":"io.nats.jetstream.api.v1.stream_delete_response","error":{"code":400,"err_code":10038,"description":"expected an empty request payload"}}"#
    );
}

/// What nats-server 2.14.5 answers for a stream and a consumer with defaults, versions left out.
#[test]
fn configurations_look_as_nats_servers() {
    let stream = r#"{"name":"S","subjects":["s.>"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old","storage":"file","num_replicas":1,"duplicate_window":120000000000,"compression":"none","allow_direct":false,"mirror_direct":false,"sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,"consumer_limits":{},"allow_msg_ttl":false,"metadata":{"_nats.req.level":"0"}}"#;
    let read: StreamConfig = super::read(stream.as_bytes(), true).unwrap();
    let config = mainstem_streams::config::StreamConfig::from(read);
    let written = serde_json::to_string(&StreamConfig::from(config)).unwrap();
    assert_eq!(written, stream);
    let consumer = r#"{"durable_name":"c","name":"c","deliver_policy":"by_start_time","opt_start_time":"2026-11-26T11:23:10.2Z","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"backoff":[1,2],"filter_subject":"s.*","replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"num_replicas":0,"metadata":{"_nats.req.level":"0"}}"#;
    let read: super::consumer::ConsumerConfig = super::read(consumer.as_bytes(), true).unwrap();
    let config = mainstem_streams::config::ConsumerConfig::from(read);
    let written = serde_json::to_string(&super::consumer::ConsumerConfig::from(config)).unwrap();
    assert_eq!(written, consumer);
}
