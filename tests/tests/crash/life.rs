//! The broker's lives: start, load, crash, and a look at what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future;
use mainstem_tests::binaries;
use mainstem_tests::faultfs::{Loss, Power};
use mainstem_tests::jetstream::Api;
use mainstem_tests::random::Random;
use mainstem_tests::server::{Launch, Server, Signal};

use crate::bucket::Bucket;
use crate::consumer::Consumer;
use crate::findings::{Findings, Table, Wrong};
use crate::producer::{Contents, Producer};
use crate::scrap::Scrap;
use crate::weak::Weak;

/// What ends a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process alone dies: what it has written is there.
    Kill,
    /// What it has not synced is lost too.
    Power(Loss),
}

/// One run: a broker in one folder, its clients, and what they know.
pub struct Run {
    server: Server,
    power: Option<Power>,
    random: Random,
    producers: Vec<Producer>,
    contents: Contents,
    bucket: Bucket,
    consumer: Consumer,
    scrap: Scrap,
    weak: Weak,
    pub findings: Findings,
    lives: u64,
    kills_at_start: u64,
    power_failures: u64,
    lost_bytes: u64,
    lost_names: u64,
}

impl Run {
    /// Starts a broker, with power that can fail, or with a disk that lies about its syncs.
    pub async fn start(seed: u64, with_power: bool, lies: bool) -> Result<Run> {
        let mut launch = Launch::jetstream(&binaries::broker()?, "")?;
        let mut power = None;
        if with_power {
            let failing = Power::new(&launch.folder().join("store"), launch.folder())?;
            for (name, value) in failing.environment()? {
                launch = launch.env(name, value);
            }
            if lies {
                launch = launch.env("FAULTFS_LIE", "1");
            }
            power = Some(failing);
        }
        let server = launch.start()?;
        let mut api = Api::open(&server).await?;
        Producer::create(&mut api).await?;
        Bucket::create(&mut api).await?;
        Consumer::create(&mut api).await?;
        Scrap::create(&mut api).await?;
        Weak::create(&mut api).await?;
        let findings = Findings::default();
        Ok(Run {
            server,
            power,
            random: Random::new(seed),
            producers: (0..3)
                .map(|id| Producer::new(id, id == 2, findings.clone()))
                .collect(),
            contents: Contents::default(),
            bucket: Bucket::new(findings.clone()),
            consumer: Consumer::new(findings.clone()),
            scrap: Scrap::new(findings.clone()),
            weak: Weak::new(findings.clone()),
            findings,
            lives: 0,
            kills_at_start: 0,
            power_failures: 0,
            lost_bytes: 0,
            lost_names: 0,
        })
    }

    /// Loads the broker, ends it by the fault at some moment, starts it again, and looks.
    pub async fn live(&mut self, fault: Fault) -> Result<()> {
        self.lives += 1;
        self.load(fault).await?;
        while self.random.chance(25) {
            self.die_starting(fault).await?;
        }
        self.server.start_again()?;
        self.server.await_ready()?;
        self.look(self.lives.is_multiple_of(10)).await
    }

    async fn load(&mut self, fault: Fault) -> Result<()> {
        let time = Duration::from_millis(self.random.within(20..500));
        let killed = Arc::new(AtomicBool::new(false));
        let (server, findings) = (&self.server, &self.findings);
        let mut clients: Vec<future::BoxFuture<'_, Result<()>>> = Vec::new();
        for producer in &mut self.producers {
            let mut random = self.random.split();
            clients.push(Box::pin(async move {
                producer.run(&mut Api::open(server).await?, &mut random).await
            }));
        }
        for client in 0..2 {
            let (bucket, mut random) = (self.bucket.clone(), self.random.split());
            clients.push(Box::pin(async move {
                bucket
                    .run(client, &mut Api::open(server).await?, &mut random)
                    .await
            }));
        }
        let (consumer, mut random) = (&mut self.consumer, self.random.split());
        clients.push(Box::pin(async move {
            consumer.run(&mut Api::open(server).await?, &mut random).await
        }));
        let (scrap, mut random) = (&mut self.scrap, self.random.split());
        clients.push(Box::pin(async move {
            scrap.run(&mut Api::open(server).await?, &mut random).await
        }));
        let weak = &mut self.weak;
        clients.push(Box::pin(
            async move { weak.run(&mut Api::open(server).await?).await },
        ));
        let watched = clients.into_iter().map(|client| {
            let killed = killed.clone();
            async move {
                let ended = client.await;
                // A client ends because the broker does, and for no other reason.
                if !killed.load(Ordering::Acquire) {
                    findings.add(Wrong::Refused, format!("a client ended early: {ended:?}"));
                }
            }
        });
        let kill = async {
            tokio::time::sleep(time).await;
            killed.store(true, Ordering::Release);
            server.signal(Signal::KILL)
        };
        let (_, end) = future::join(future::join_all(watched), kill).await;
        end?;
        self.server.await_exit()?;
        self.fail(fault)
    }

    /// Starts the broker and kills it before it is ready, or a little later.
    async fn die_starting(&mut self, fault: Fault) -> Result<()> {
        self.server.start_again()?;
        tokio::time::sleep(Duration::from_millis(self.random.within(0..150))).await;
        self.server.signal(Signal::KILL)?;
        self.server.await_exit()?;
        self.kills_at_start += 1;
        self.fail(fault)
    }

    fn fail(&mut self, fault: Fault) -> Result<()> {
        match (fault, &self.power) {
            (Fault::Power(loss), Some(power)) => {
                let lost = power.fail(loss, &mut self.random).context("the power failure")?;
                self.power_failures += 1;
                self.lost_bytes += lost.bytes;
                self.lost_names += lost.names;
                Ok(())
            }
            (_, Some(power)) => power.forget(),
            (_, None) => Ok(()),
        }
    }

    async fn look(&mut self, all: bool) -> Result<()> {
        let mut api = Api::open(&self.server).await?;
        let mut producers: Vec<&mut Producer> = self.producers.iter_mut().collect();
        self.contents
            .check(&mut api, &mut producers, all)
            .await
            .context("the log")?;
        self.bucket.check(&mut api).await.context("the bucket")?;
        self.consumer.look(&mut api).await.context("the consumer")?;
        self.scrap.check(&mut api).await.context("the scrap")?;
        self.weak
            .check(&mut api)
            .await
            .context("the async and the memory stream")
    }

    /// Looks at everything once more, and lets the consumer take all that is left.
    pub async fn finish(mut self) -> Result<Table> {
        if !self.findings.are_many() {
            self.look(true).await?;
            let mut api = Api::open(&self.server).await?;
            self.consumer.drain(&mut api, self.contents.len()).await?;
        }
        Ok(Table {
            kills: self.lives + self.kills_at_start,
            kills_at_start: self.kills_at_start,
            power_failures: self.power_failures,
            lost_bytes: self.lost_bytes,
            lost_names: self.lost_names,
            published: self.producers.iter().map(Producer::count).sum::<u64>() + self.scrap.published,
            updates: self.bucket.count(),
            acks: self.consumer.count(),
            deletes: self.scrap.deletes,
            purges: self.scrap.purges,
            findings: self.findings,
        })
    }
}
