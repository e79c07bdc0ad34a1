//! The official client async-nats uses streams, consumers and buckets of our broker: the checks of
//! `tests/clients/README.md`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull, push};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, AckKind, Context, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use mainstem_tests::clients::start_broker;
use mainstem_tests::server::{Server, Signal};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn connect(server: &Server) -> Result<Context> {
    let client = async_nats::connect(server.nats_address()?.to_string()).await?;
    Ok(jetstream::new(client))
}

async fn begin() -> Result<(Server, Context)> {
    let server = start_broker()?;
    let context = connect(&server).await?;
    Ok((server, context))
}

fn named(name: &str) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        ..Config::default()
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A stream with the messages `0`, `1`, ..., all of them acknowledged.
async fn fill(context: &Context, name: &str, count: usize) -> Result<jetstream::stream::Stream> {
    let stream = context.create_stream(named(name)).await?;
    for number in 0..count {
        let ack = context
            .publish(format!("{name}.n"), number.to_string().into())
            .await?
            .await?;
        ensure!(ack.sequence == number as u64 + 1, "{ack:?}");
    }
    Ok(stream)
}

async fn fetch(consumer: &jetstream::consumer::PullConsumer, count: usize) -> Result<Vec<Message>> {
    let mut batch = consumer.fetch().max_messages(count).messages().await?;
    let mut messages = Vec::new();
    while let Some(message) = timeout(PATIENCE, batch.next()).await? {
        messages.push(message.map_err(anyhow::Error::from_boxed)?);
    }
    Ok(messages)
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
        .collect()
}

async fn confirm(message: &Message) -> Result<()> {
    message.double_ack().await.map_err(anyhow::Error::from_boxed)
}

#[tokio::test]
async fn streams() -> Result<()> {
    let (_server, context) = begin().await?;
    let mut stream = fill(&context, "s", 5).await?;
    let mut config = named("s");
    config.description = Some("second".to_owned());
    let info = context.update_stream(config).await?;
    ensure!(info.config.description.as_deref() == Some("second"), "{info:?}");
    ensure!(stream.delete_message(2).await?, "not deleted");
    ensure!(stream.purge().keep(2).await?.purged == 2, "purged another number");
    let state = stream.info().await?.state.clone();
    assert_eq!(
        (state.messages, state.first_sequence, state.last_sequence),
        (2, 4, 5)
    );
    let names: Vec<_> = context.stream_names().collect().await;
    assert_eq!(names.into_iter().collect::<Result<Vec<_>, _>>()?, ["s"]);
    assert_eq!(context.stream_by_subject("s.x").await?, "s");
    let account = context.query_account().await?;
    assert_eq!((account.streams, account.consumers), (1, 0));
    ensure!(context.delete_stream("s").await?.success, "not deleted");
    ensure!(context.get_stream("s").await.is_err(), "still there");
    Ok(())
}

#[tokio::test]
async fn publish() -> Result<()> {
    let (_server, context) = begin().await?;
    fill(&context, "s", 0).await?;
    let message = |id: &str| {
        jetstream::message::PublishMessage::build()
            .payload("x".into())
            .message_id(id)
    };
    let first = context.send_publish("s.a", message("one")).await?.await?;
    let again = context.send_publish("s.a", message("one")).await?.await?;
    assert_eq!(
        (first.sequence, first.duplicate, again.sequence, again.duplicate),
        (1, false, 1, true)
    );
    let expecting = message("two").expected_last_sequence(7);
    ensure!(
        context.send_publish("s.a", expecting).await?.await.is_err(),
        "another sequence was expected"
    );
    let expecting = message("two")
        .expected_last_subject_sequence(1)
        .expected_stream("s");
    assert_eq!(context.send_publish("s.a", expecting).await?.await?.sequence, 2);
    let mut acks = Vec::new();
    for number in 0..500 {
        acks.push(
            context
                .publish("s.b", number.to_string().into())
                .await?
                .into_future(),
        );
    }
    let sequences: Vec<u64> = try_join_all(acks).await?.iter().map(|ack| ack.sequence).collect();
    assert_eq!(sequences, (3..503).collect::<Vec<u64>>());
    Ok(())
}

#[tokio::test]
async fn pull_and_acknowledge() -> Result<()> {
    let (_server, context) = begin().await?;
    let stream = fill(&context, "s", 6).await?;
    let config = pull::Config {
        durable_name: Some("worker".to_owned()),
        ack_wait: Duration::from_millis(500),
        max_deliver: 2,
        ..pull::Config::default()
    };
    let mut consumer = stream.create_consumer(config).await?;
    let first = fetch(&consumer, 4).await?;
    assert_eq!(texts(&first), numbers(0..4));
    let info = first[0].info().map_err(anyhow::Error::from_boxed)?;
    assert_eq!((info.pending, info.delivered), (5, 1));
    confirm(&first[0]).await?;
    for (message, kind) in [(&first[1], AckKind::Nak(None)), (&first[2], AckKind::Term)] {
        message.ack_with(kind).await.map_err(anyhow::Error::from_boxed)?;
    }
    // The fourth message is not answered. Two are new.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut second = texts(&fetch(&consumer, 10).await?);
    second.sort();
    assert_eq!(second, ["1", "3", "4", "5"]);
    let info = consumer.info().await?;
    assert_eq!(
        (
            info.num_ack_pending,
            info.num_pending,
            info.ack_floor.stream_sequence
        ),
        (4, 0, 1)
    );
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut last = texts(&fetch(&consumer, 10).await?);
    last.sort();
    assert_eq!(last, ["4", "5"], "others had their last delivery");
    Ok(())
}

#[tokio::test]
async fn a_pull_consumer_streams() -> Result<()> {
    let (_server, context) = begin().await?;
    let stream = fill(&context, "s", 0).await?;
    let consumer = stream.create_consumer(pull::Config::default()).await?;
    let mut messages = consumer.stream().max_messages_per_batch(50).messages().await?;
    let publisher = context.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..1000 {
            publisher.publish("s.n", number.to_string().into()).await?.await?;
        }
        anyhow::Ok(())
    });
    for wanted in numbers(0..1000) {
        let message = timeout(PATIENCE, messages.next()).await?.context("the end")??;
        assert_eq!(message.payload, wanted);
        message.ack().await.map_err(anyhow::Error::from_boxed)?;
    }
    publishing.await?
}

#[tokio::test]
async fn push_and_ordered() -> Result<()> {
    let (_server, context) = begin().await?;
    let stream = fill(&context, "s", 300).await?;
    let config = push::Config {
        deliver_subject: context.client().new_inbox(),
        ack_policy: AckPolicy::None,
        flow_control: true,
        idle_heartbeat: Duration::from_secs(1),
        ..push::Config::default()
    };
    let mut pushed = stream.create_consumer(config).await?.messages().await?;
    let config = push::OrderedConfig {
        deliver_subject: context.client().new_inbox(),
        ..push::OrderedConfig::default()
    };
    let mut ordered = stream.create_consumer(config).await?.messages().await?;
    let mut pulled = stream
        .create_consumer(pull::OrderedConfig::default())
        .await?
        .messages()
        .await?;
    context.publish("s.n", "300".into()).await?.await?;
    for wanted in numbers(0..301) {
        let message = timeout(PATIENCE, pushed.next()).await?.context("the end")??;
        assert_eq!(message.payload, wanted);
        let message = timeout(PATIENCE, ordered.next()).await?.context("the end")??;
        assert_eq!(message.payload, wanted);
        let message = timeout(PATIENCE, pulled.next()).await?.context("the end")??;
        assert_eq!(message.payload, wanted);
    }
    Ok(())
}

#[tokio::test]
async fn filters() -> Result<()> {
    let (_server, context) = begin().await?;
    let stream = fill(&context, "s", 0).await?;
    for subject in ["s.a", "s.b", "s.c", "s.a"] {
        context.publish(subject, subject.into()).await?.await?;
    }
    let several = pull::Config {
        filter_subjects: vec!["s.a".to_owned(), "s.c".to_owned()],
        ..pull::Config::default()
    };
    let last = pull::Config {
        filter_subject: "s.>".to_owned(),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..pull::Config::default()
    };
    let late = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: 3 },
        ..pull::Config::default()
    };
    for (config, wanted) in [
        (several, vec!["s.a", "s.c", "s.a"]),
        (last, vec!["s.b", "s.c", "s.a"]),
        (late, vec!["s.c", "s.a"]),
    ] {
        let consumer = stream.create_consumer(config).await?;
        assert_eq!(consumer.cached_info().num_pending, wanted.len() as u64);
        assert_eq!(texts(&fetch(&consumer, 9).await?), wanted);
    }
    Ok(())
}

#[tokio::test]
async fn messages() -> Result<()> {
    let (_server, context) = begin().await?;
    let mut config = named("s");
    config.allow_direct = true;
    let stream = context.create_stream(config).await?;
    let mut headers = HeaderMap::new();
    headers.insert("Trace-Id", "t1");
    context
        .publish_with_headers("s.a", headers.clone(), Bytes::from_static(b"\x00\xff"))
        .await?
        .await?;
    context.publish("s.b", "two".into()).await?.await?;
    context.publish("s.a", "three".into()).await?.await?;
    let raw = stream.get_raw_message(1).await?;
    assert_eq!(
        (raw.payload, raw.headers),
        (Bytes::from_static(b"\x00\xff"), headers)
    );
    assert_eq!(
        stream.direct_get(1).await?.payload,
        Bytes::from_static(b"\x00\xff")
    );
    assert_eq!(stream.get_last_raw_message_by_subject("s.a").await?.sequence, 3);
    assert_eq!(stream.direct_get_last_for_subject("s.a").await?.sequence, 3);
    assert_eq!(
        stream.direct_get_next_for_subject("s.a", Some(2)).await?.sequence,
        3
    );
    ensure!(
        stream.get_raw_message(9).await.is_err() && stream.direct_get(9).await.is_err(),
        "there is no ninth"
    );
    Ok(())
}

#[tokio::test]
async fn data_outlives_a_restart() -> Result<()> {
    let (mut server, context) = begin().await?;
    let stream = fill(&context, "kept", 200).await?;
    let mut memory = named("memory");
    memory.storage = StorageType::Memory;
    context.create_stream(memory).await?;
    let config = pull::Config {
        durable_name: Some("half".to_owned()),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    for message in fetch(&consumer, 100).await? {
        confirm(&message).await?;
    }
    let bucket = kv::Config {
        bucket: "b".to_owned(),
        ..kv::Config::default()
    };
    context
        .create_key_value(bucket)
        .await?
        .put("k", "v".into())
        .await?;
    for signal in [Signal::KILL, Signal::TERM] {
        server.restart(signal)?;
        let context = connect(&server).await?;
        let stream = context.get_stream("kept").await?;
        assert_eq!(stream.cached_info().state.messages, 200);
        let mut consumer: jetstream::consumer::PullConsumer = stream
            .get_consumer("half")
            .await
            .map_err(anyhow::Error::from_boxed)?;
        let info = consumer.info().await?;
        assert_eq!((info.ack_floor.stream_sequence, info.num_pending), (100, 100));
        assert_eq!(
            context.get_key_value("b").await?.get("k").await?,
            Some("v".into())
        );
        ensure!(
            context.get_stream("memory").await.is_err(),
            "a memory stream outlived its process"
        );
    }
    Ok(())
}
