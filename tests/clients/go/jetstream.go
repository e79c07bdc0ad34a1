package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Streams and consumers. Each check has a stream of its own, named after it.
var streamChecks = []check{
	{"streams", withJetStream(streams)},
	{"publish", withJetStream(publish)},
	{"pull", withJetStream(pull)},
	{"push", withJetStream(push)},
	{"ordered", withJetStream(ordered)},
	{"acknowledge", withJetStream(acknowledge)},
	{"redelivery", withJetStream(redelivery)},
	{"filters", withJetStream(filters)},
	{"messages", withJetStream(messages)},
	{"mistakes", withJetStream(mistakes)},
}

func withJetStream(run func(ctx context.Context, js jetstream.JetStream) error) func(*nats.Conn, string) error {
	return func(client *nats.Conn, _ string) error {
		js, err := jetstream.New(client)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
		defer cancel()
		return run(ctx, js)
	}
}

// expectCode wants the broker to have refused with this err_code.
func expectCode(wanted jetstream.ErrorCode, err error) error {
	var refusal jetstream.JetStreamError
	if !errors.As(err, &refusal) || refusal.APIError() == nil || refusal.APIError().ErrorCode != wanted {
		return fmt.Errorf("not refused with %d, but: %v", wanted, err)
	}
	return nil
}

func expectEqual(got, wanted any, what string) error {
	if !reflect.DeepEqual(got, wanted) {
		return fmt.Errorf("%s: %v, not %v", what, got, wanted)
	}
	return nil
}

// fill makes a stream with messages 0, 1, ... that are acknowledged.
func fill(ctx context.Context, js jetstream.JetStream, name string, count int) (jetstream.Stream, error) {
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}})
	if err != nil {
		return nil, err
	}
	for number := range count {
		ack, err := js.Publish(ctx, name+".n", []byte(strconv.Itoa(number)))
		if err != nil {
			return nil, err
		}
		if err := expectEqual(ack.Sequence, uint64(number+1), "sequence"); err != nil {
			return nil, err
		}
	}
	return stream, nil
}

func numbers(from, to int) []string {
	texts := []string{}
	for number := from; number < to; number++ {
		texts = append(texts, strconv.Itoa(number))
	}
	return texts
}

// fetch returns the next messages of a consumer, fewer if there are no more within the time.
func fetch(consumer jetstream.Consumer, count int, within time.Duration) ([]jetstream.Msg, error) {
	batch, err := consumer.Fetch(count, jetstream.FetchMaxWait(within))
	if err != nil {
		return nil, err
	}
	var got []jetstream.Msg
	for message := range batch.Messages() {
		got = append(got, message)
	}
	return got, batch.Error()
}

func payloads(messages []jetstream.Msg) []string {
	texts := []string{}
	for _, message := range messages {
		texts = append(texts, string(message.Data()))
	}
	return texts
}

func expectPayloads(consumer jetstream.Consumer, wanted ...string) error {
	got, err := fetch(consumer, len(wanted), patience)
	return errors.Join(err, expectEqual(payloads(got), wanted, "messages"))
}

func streams(ctx context.Context, js jetstream.JetStream) error {
	config := jetstream.StreamConfig{Name: "go_streams", Subjects: []string{"go_streams.*"}, MaxMsgs: 100, Description: "first"}
	if _, err := js.CreateStream(ctx, config); err != nil {
		return err
	}
	for _, subject := range []string{"a", "b", "a", "c"} {
		if _, err := js.Publish(ctx, "go_streams."+subject, []byte("x")); err != nil {
			return err
		}
	}
	config.Description = "second"
	stream, err := js.UpdateStream(ctx, config)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return err
	}
	counts := map[string]uint64{"go_streams.a": 2, "go_streams.b": 1, "go_streams.c": 1}
	var names []string
	for name := range js.StreamNames(ctx).Name() {
		names = append(names, name)
	}
	name, nameErr := js.StreamNameBySubject(ctx, "go_streams.a")
	err = errors.Join(
		expectEqual(info.Config.Description, "second", "description"),
		expectEqual([]uint64{info.State.Msgs, info.State.FirstSeq, info.State.LastSeq}, []uint64{4, 1, 4}, "state"),
		expectEqual(info.State.Subjects, counts, "subjects"),
		nameErr,
		expectEqual(name, "go_streams", "stream of a subject"),
		stream.DeleteMsg(ctx, 2),
		stream.Purge(ctx, jetstream.WithPurgeSubject("go_streams.a")),
	)
	if err != nil {
		return err
	}
	if !contains(names, "go_streams") {
		return fmt.Errorf("is not among %v", names)
	}
	if info, err = stream.Info(ctx); err != nil {
		return err
	}
	if err := expectEqual([]uint64{info.State.Msgs, info.State.FirstSeq}, []uint64{1, 4}, "state after purge"); err != nil {
		return err
	}
	if err := js.DeleteStream(ctx, "go_streams"); err != nil {
		return err
	}
	_, err = js.Stream(ctx, "go_streams")
	return expectCode(jetstream.JSErrCodeStreamNotFound, err)
}

func contains(texts []string, wanted string) bool {
	for _, text := range texts {
		if text == wanted {
			return true
		}
	}
	return false
}

func publish(ctx context.Context, js jetstream.JetStream) error {
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "go_publish", Subjects: []string{"go_publish.*"}}); err != nil {
		return err
	}
	first, err := js.Publish(ctx, "go_publish.a", []byte("1"), jetstream.WithMsgID("one"))
	if err != nil {
		return err
	}
	again, err := js.Publish(ctx, "go_publish.a", []byte("1"), jetstream.WithMsgID("one"))
	if err != nil {
		return err
	}
	if first.Duplicate || !again.Duplicate || first.Sequence != 1 || again.Sequence != 1 || first.Stream != "go_publish" {
		return fmt.Errorf("first %v, again %v", first, again)
	}
	expected := []jetstream.PublishOpt{jetstream.WithExpectLastSequence(1), jetstream.WithExpectStream("go_publish")}
	if _, err := js.Publish(ctx, "go_publish.b", nil, expected...); err != nil {
		return err
	}
	_, sequence := js.Publish(ctx, "go_publish.b", nil, jetstream.WithExpectLastSequence(1))
	_, id := js.Publish(ctx, "go_publish.b", nil, jetstream.WithExpectLastMsgID("two"))
	_, subject := js.Publish(ctx, "go_publish.b", nil, jetstream.WithExpectLastSequencePerSubject(1))
	_, other := js.Publish(ctx, "go_publish.b", nil, jetstream.WithExpectStream("other"))
	err = errors.Join(expectCode(10071, sequence), expectCode(10070, id), expectCode(10071, subject), expectCode(10060, other))
	if err != nil {
		return err
	}
	for number := range 200 {
		if _, err := js.PublishAsync("go_publish.c", []byte(strconv.Itoa(number))); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		return fmt.Errorf("%d of 200 are not acknowledged", js.PublishAsyncPending())
	}
	stream, err := js.Stream(ctx, "go_publish")
	if err != nil {
		return err
	}
	if err := expectEqual(stream.CachedInfo().State.LastSeq, uint64(202), "last sequence"); err != nil {
		return err
	}
	if _, err := js.Publish(ctx, "go_nobody", nil); !errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("a subject without a stream: %v", err)
	}
	return nil
}

func pull(ctx context.Context, js jetstream.JetStream) error {
	stream, err := fill(ctx, js, "go_pull", 10)
	if err != nil {
		return err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	first, err := fetch(consumer, 4, patience)
	if err != nil {
		return err
	}
	if err := expectEqual(payloads(first), numbers(0, 4), "first batch"); err != nil {
		return err
	}
	metadata, err := first[0].Metadata()
	if err != nil {
		return err
	}
	for _, message := range first {
		if err := message.DoubleAck(ctx); err != nil {
			return err
		}
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	state := []uint64{metadata.NumPending, info.NumPending, uint64(info.NumAckPending), info.AckFloor.Stream}
	if err := expectEqual(state, []uint64{9, 6, 0, 4}, "pending, info"); err != nil {
		return err
	}
	rest, err := consumer.FetchNoWait(10)
	if err != nil {
		return err
	}
	var got []jetstream.Msg
	for message := range rest.Messages() {
		got = append(got, message)
	}
	if err := expectEqual(payloads(got), numbers(4, 10), "second batch"); err != nil {
		return err
	}
	if got, _ := fetch(consumer, 1, 200*time.Millisecond); len(got) > 0 {
		return errors.New("more than all was delivered")
	}
	return nil
}

func push(ctx context.Context, js jetstream.JetStream) error {
	if _, err := fill(ctx, js, "go_push", 5); err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdatePushConsumer(ctx, "go_push", jetstream.ConsumerConfig{
		Durable: "pushed", DeliverSubject: nats.NewInbox(), AckPolicy: jetstream.AckExplicitPolicy,
		FlowControl: true, IdleHeartbeat: time.Second,
	})
	if err != nil {
		return err
	}
	got := make(chan string, 16)
	running, err := consumer.Consume(func(message jetstream.Msg) {
		_ = message.Ack()
		got <- string(message.Data())
	})
	if err != nil {
		return err
	}
	defer running.Stop()
	for number := 5; number < 8; number++ {
		if _, err := js.Publish(ctx, "go_push.n", []byte(strconv.Itoa(number))); err != nil {
			return err
		}
	}
	for _, wanted := range numbers(0, 8) {
		select {
		case text := <-got:
			if err := expectEqual(text, wanted, "message"); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%s did not come", wanted)
		}
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	return errors.Join(expectEqual(info.Delivered.Consumer, uint64(8), "delivered"), expectEqual(info.PushBound, true, "bound"))
}

func ordered(ctx context.Context, js jetstream.JetStream) error {
	stream, err := fill(ctx, js, "go_ordered", 100)
	if err != nil {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	var lock sync.Mutex
	got, done := []string{}, make(chan struct{})
	running, err := consumer.Consume(func(message jetstream.Msg) {
		lock.Lock()
		defer lock.Unlock()
		if got = append(got, string(message.Data())); len(got) == 101 {
			close(done)
		}
	})
	if err != nil {
		return err
	}
	defer running.Stop()
	if _, err := js.Publish(ctx, "go_ordered.live", []byte("100")); err != nil {
		return err
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	lock.Lock()
	defer lock.Unlock()
	return expectEqual(got, numbers(0, 101), "messages")
}
