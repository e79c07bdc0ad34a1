package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func acknowledge(ctx context.Context, js jetstream.JetStream) error {
	stream, err := fill(ctx, js, "go_ack", 5)
	if err != nil {
		return err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "acks", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
	})
	if err != nil {
		return err
	}
	first, err := fetch(consumer, 5, patience)
	if err != nil || len(first) != 5 {
		return fmt.Errorf("got %d of 5: %w", len(first), err)
	}
	// The fifth is not answered at all.
	acked, late, slow, ended := first[0], first[1], first[2], first[3]
	if err := errors.Join(acked.DoubleAck(ctx), late.NakWithDelay(300*time.Millisecond), ended.TermWithReason("bad")); err != nil {
		return err
	}
	for range 4 {
		time.Sleep(400 * time.Millisecond)
		if err := slow.InProgress(); err != nil {
			return err
		}
	}
	again, err := fetch(consumer, 3, 300*time.Millisecond)
	if err != nil {
		return err
	}
	texts := payloads(again)
	sort.Strings(texts)
	if err := expectEqual(texts, []string{"1", "4"}, "redelivered"); err != nil {
		return err
	}
	for _, message := range append(again, slow) {
		if err := message.DoubleAck(ctx); err != nil {
			return err
		}
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	return expectEqual([]uint64{uint64(info.NumAckPending), info.AckFloor.Stream}, []uint64{0, 5}, "info")
}

func redelivery(ctx context.Context, js jetstream.JetStream) error {
	stream, err := fill(ctx, js, "go_again", 1)
	if err != nil {
		return err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "again", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 300 * time.Millisecond, MaxDeliver: 3,
	})
	if err != nil {
		return err
	}
	for attempt := 1; attempt <= 3; attempt++ {
		message, err := consumer.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			return err
		}
		metadata, err := message.Metadata()
		if err != nil {
			return err
		}
		if err := expectEqual(metadata.NumDelivered, uint64(attempt), "delivery"); err != nil {
			return err
		}
	}
	if got, _ := fetch(consumer, 1, time.Second); len(got) > 0 {
		return errors.New("a fourth delivery")
	}
	return nil
}

func filters(ctx context.Context, js jetstream.JetStream) error {
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "go_filters", Subjects: []string{"go_filters.>"}})
	if err != nil {
		return err
	}
	for _, subject := range []string{"a", "b", "c", "a", "b.x", "c"} {
		if _, err := js.Publish(ctx, "go_filters."+subject, []byte(subject)); err != nil {
			return err
		}
	}
	read := func(config jetstream.ConsumerConfig, wanted ...string) error {
		config.AckPolicy = jetstream.AckNonePolicy
		consumer, err := stream.CreateConsumer(ctx, config)
		if err != nil {
			return err
		}
		pending := expectEqual(consumer.CachedInfo().NumPending, uint64(len(wanted)), "pending")
		return errors.Join(pending, expectPayloads(consumer, wanted...))
	}
	several := []string{"go_filters.a", "go_filters.b.*"}
	err = errors.Join(
		read(jetstream.ConsumerConfig{FilterSubject: "go_filters.a"}, "a", "a"),
		read(jetstream.ConsumerConfig{FilterSubjects: several}, "a", "a", "b.x"),
		read(jetstream.ConsumerConfig{FilterSubject: "go_filters.>", DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy}, "b", "a", "b.x", "c"),
		read(jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverLastPolicy}, "c"),
		read(jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 5}, "b.x", "c"),
	)
	if err != nil {
		return err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{FilterSubject: several[0], HeadersOnly: true})
	if err != nil {
		return err
	}
	bare, err := fetch(consumer, 2, patience)
	if err != nil || len(bare) != 2 {
		return fmt.Errorf("got %d of 2: %w", len(bare), err)
	}
	return errors.Join(
		expectEqual(payloads(bare), []string{"", ""}, "headers only"),
		expectEqual(bare[0].Headers().Get("Nats-Msg-Size"), "1", "size"),
	)
}

func messages(ctx context.Context, js jetstream.JetStream) error {
	for _, direct := range []bool{false, true} {
		name := fmt.Sprintf("go_messages_%v", direct)
		config := jetstream.StreamConfig{Name: name, Subjects: []string{name + ".*"}, AllowDirect: direct}
		stream, err := js.CreateStream(ctx, config)
		if err != nil {
			return err
		}
		sent := nats.NewMsg(name + ".a")
		sent.Header.Set("Trace-Id", "t1")
		sent.Data = []byte("\x00\xff")
		if _, err := js.PublishMsg(ctx, sent); err != nil {
			return err
		}
		for _, subject := range []string{"b", "a"} {
			if _, err := js.Publish(ctx, name+"."+subject, []byte("later")); err != nil {
				return err
			}
		}
		first, err := stream.GetMsg(ctx, 1)
		if err != nil {
			return err
		}
		last, err := stream.GetLastMsgForSubject(ctx, name+".a")
		if err != nil {
			return err
		}
		next, err := stream.GetMsg(ctx, 2, jetstream.WithGetMsgSubject(name+".a"))
		if err != nil {
			return err
		}
		if _, err := stream.GetMsg(ctx, 9); !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("a message that is not there: %v", err)
		}
		err = errors.Join(
			expectEqual(string(first.Data), "\x00\xff", "payload"),
			expectEqual(first.Subject, name+".a", "subject"),
			expectEqual(first.Header.Get("Trace-Id"), "t1", "header"),
			expectEqual([]uint64{first.Sequence, last.Sequence, next.Sequence}, []uint64{1, 3, 3}, "sequences"),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

func mistakes(ctx context.Context, js jetstream.JetStream) error {
	stream, err := fill(ctx, js, "go_mistakes", 1)
	if err != nil {
		return err
	}
	make := func(name string, subject string) error {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subject}})
		return err
	}
	_, noStream := js.CreateConsumer(ctx, "go_missing", jetstream.ConsumerConfig{Durable: "d"})
	_, noConsumer := stream.Consumer(ctx, "missing")
	worker := jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy}
	if _, err := stream.CreateConsumer(ctx, worker); err != nil {
		return err
	}
	worker.AckPolicy = jetstream.AckNonePolicy
	_, other := stream.UpdateConsumer(ctx, worker)
	usage, err := js.AccountInfo(ctx)
	if err != nil {
		return err
	}
	if usage.Streams < 1 || usage.Consumers < 1 {
		return fmt.Errorf("%d streams, %d consumers", usage.Streams, usage.Consumers)
	}
	// The library keeps the answer's text only.
	if err := stream.DeleteMsg(ctx, 99); !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return fmt.Errorf("deleting a message that is not there: %v", err)
	}
	return errors.Join(
		expectCode(10058, make("go_mistakes", "go_mistakes.other")),
		expectCode(10065, make("go_overlap", "go_mistakes.n")),
		expectCode(10052, make("go_bad", "go_bad..x")),
		expectCode(10059, noStream),
		expectCode(10014, noConsumer),
		expectCode(10012, other),
	)
}
