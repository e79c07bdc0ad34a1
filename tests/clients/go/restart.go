package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What is stored outlives a restart.
var restartChecks = map[string][]check{
	"store":  {{"store", withJetStream(store)}},
	"verify": {{"verify", withJetStream(verify)}},
}

const stored = 500

func storedPayload(number int) []byte {
	var every [256]byte
	for value := range every {
		every[value] = byte(value)
	}
	return append([]byte(strconv.Itoa(number)+":"), bytes.Repeat(every[:], number%5)...)
}

// store stores what verify looks for; all of it is acknowledged when this returns.
func store(ctx context.Context, js jetstream.JetStream) error {
	kept, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "go_kept", Subjects: []string{"go_kept.>"}})
	if err != nil {
		return err
	}
	gone := jetstream.StreamConfig{Name: "go_gone", Subjects: []string{"go_gone.>"}, Storage: jetstream.MemoryStorage}
	if _, err := js.CreateStream(ctx, gone); err != nil {
		return err
	}
	for number := range stored {
		subject, id := fmt.Sprintf("go_kept.%d", number%7), jetstream.WithMsgID(fmt.Sprintf("id-%d", number))
		_, first := js.Publish(ctx, subject, storedPayload(number), id)
		_, second := js.Publish(ctx, "go_gone.x", storedPayload(number))
		if err := errors.Join(first, second); err != nil {
			return err
		}
	}
	if err := kept.DeleteMsg(ctx, 11); err != nil {
		return err
	}
	half, err := kept.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "half", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
	})
	if err != nil {
		return err
	}
	batch, err := fetch(half, 200, patience)
	if err != nil {
		return err
	}
	for _, message := range batch {
		if err := message.DoubleAck(ctx); err != nil {
			return err
		}
	}
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "go_kept", History: 3})
	if err != nil {
		return err
	}
	for number := range 100 {
		if _, err := bucket.PutString(ctx, fmt.Sprintf("k%d", number%10), strconv.Itoa(number)); err != nil {
			return err
		}
	}
	return bucket.Delete(ctx, "k0")
}

// verify wants what store stored to be there, and nothing else.
func verify(ctx context.Context, js jetstream.JetStream) error {
	kept, err := js.Stream(ctx, "go_kept")
	if err != nil {
		return err
	}
	state := kept.CachedInfo().State
	if err := expectEqual([]uint64{state.Msgs, state.FirstSeq, state.LastSeq}, []uint64{stored - 1, 1, stored}, "state"); err != nil {
		return err
	}
	again, err := js.Publish(ctx, "go_kept.0", nil, jetstream.WithMsgID(fmt.Sprintf("id-%d", stored-1)))
	if err != nil {
		return err
	}
	if !again.Duplicate || again.Sequence != stored {
		return fmt.Errorf("a message that was published before: %v", again)
	}
	if _, err := kept.GetMsg(ctx, 11); !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("a deleted message: %v", err)
	}
	_, err = js.Stream(ctx, "go_gone")
	return errors.Join(verifyMessages(ctx, kept), verifyConsumer(ctx, kept), verifyBucket(ctx, js), expectCode(10059, err))
}

func verifyMessages(ctx context.Context, kept jetstream.Stream) error {
	reader, err := kept.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	got, err := fetch(reader, stored-1, patience)
	if err != nil {
		return err
	}
	if len(got) != stored-1 {
		return fmt.Errorf("%d messages", len(got))
	}
	number := 0
	for _, message := range got {
		if number == 10 {
			number++
		}
		if !bytes.Equal(message.Data(), storedPayload(number)) {
			return fmt.Errorf("message %d is %.40q", number, message.Data())
		}
		number++
	}
	return nil
}

func verifyConsumer(ctx context.Context, kept jetstream.Stream) error {
	half, err := kept.Consumer(ctx, "half")
	if err != nil {
		return err
	}
	info := half.CachedInfo()
	if err := expectEqual([]uint64{info.AckFloor.Stream, info.NumPending}, []uint64{201, stored - 201}, "consumer"); err != nil {
		return err
	}
	return expectPayloads(half, string(storedPayload(201)))
}

func verifyBucket(ctx context.Context, js jetstream.JetStream) error {
	bucket, err := js.KeyValue(ctx, "go_kept")
	if err != nil {
		return err
	}
	keys, err := bucket.Keys(ctx)
	if err != nil {
		return err
	}
	sort.Strings(keys)
	entries, err := bucket.History(ctx, "k3")
	if err != nil {
		return err
	}
	history := []string{}
	for _, entry := range entries {
		history = append(history, string(entry.Value()))
	}
	return errors.Join(
		expectEqual(keys, []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"}, "keys"),
		expectEqual(history, []string{"73", "83", "93"}, "history"),
	)
}
