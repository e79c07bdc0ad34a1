package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

var bucketChecks = []check{
	{"key_value", withJetStream(keyValue)},
	{"key_history", withJetStream(keyHistory)},
	{"key_watch", withJetStream(keyWatch)},
}

func keyValue(ctx context.Context, js jetstream.JetStream) error {
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "go_kv"})
	if err != nil {
		return err
	}
	first, err := bucket.PutString(ctx, "a", "one")
	if err != nil {
		return err
	}
	second, err := bucket.Update(ctx, "a", []byte("two"), first)
	if err != nil {
		return err
	}
	if second <= first {
		return fmt.Errorf("revision %d after %d", second, first)
	}
	if _, err := bucket.Update(ctx, "a", []byte("late"), first); err == nil {
		return errors.New("an update of an old revision was taken")
	}
	if _, err := bucket.Create(ctx, "b", []byte("new")); err != nil {
		return err
	}
	if _, err := bucket.Create(ctx, "a", nil); !errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("creating a key twice: %v", err)
	}
	if err := errors.Join(expectValue(ctx, bucket, "a", "two"), bucket.Delete(ctx, "b"), expectMissing(ctx, bucket, "b")); err != nil {
		return err
	}
	if _, err := bucket.Create(ctx, "b", []byte("again")); err != nil {
		return err
	}
	err = errors.Join(
		expectValue(ctx, bucket, "b", "again"),
		bucket.Purge(ctx, "b"),
		expectMissing(ctx, bucket, "b"),
		expectMissing(ctx, bucket, "never"),
	)
	if err != nil {
		return err
	}
	keys, err := bucket.Keys(ctx)
	if err != nil {
		return err
	}
	status, err := bucket.Status(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(expectEqual(keys, []string{"a"}, "keys"), expectEqual(status.Values(), uint64(2), "values"))
	if err != nil {
		return err
	}
	if err := js.DeleteKeyValue(ctx, "go_kv"); err != nil {
		return err
	}
	if _, err := js.KeyValue(ctx, "go_kv"); !errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("a deleted bucket: %v", err)
	}
	return nil
}

func expectValue(ctx context.Context, bucket jetstream.KeyValue, key, wanted string) error {
	entry, err := bucket.Get(ctx, key)
	if err != nil {
		return err
	}
	return expectEqual(string(entry.Value()), wanted, key)
}

func expectMissing(ctx context.Context, bucket jetstream.KeyValue, key string) error {
	if _, err := bucket.Get(ctx, key); !errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("%s: %v", key, err)
	}
	return nil
}

func keyHistory(ctx context.Context, js jetstream.JetStream) error {
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "go_history", History: 5})
	if err != nil {
		return err
	}
	for number := range 8 {
		if _, err := bucket.PutString(ctx, "k", strconv.Itoa(number)); err != nil {
			return err
		}
	}
	if _, err := bucket.PutString(ctx, "other", "x"); err != nil {
		return err
	}
	if err := bucket.Delete(ctx, "k"); err != nil {
		return err
	}
	entries, err := bucket.History(ctx, "k")
	if err != nil {
		return err
	}
	got := []string{}
	for _, entry := range entries {
		got = append(got, entry.Operation().String()+string(entry.Value()))
	}
	put := jetstream.KeyValuePut.String()
	wanted := []string{put + "4", put + "5", put + "6", put + "7", jetstream.KeyValueDelete.String()}
	if err := expectEqual(got, wanted, "history"); err != nil {
		return err
	}
	old, err := bucket.GetRevision(ctx, "k", entries[0].Revision())
	if err != nil {
		return err
	}
	return expectEqual(string(old.Value()), "4", "an old revision")
}

func keyWatch(ctx context.Context, js jetstream.JetStream) error {
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "go_watch"})
	if err != nil {
		return err
	}
	put := func(key, value string) error {
		_, err := bucket.PutString(ctx, key, value)
		return err
	}
	if err := errors.Join(put("a.x", "1"), put("b.x", "2")); err != nil {
		return err
	}
	every, err := bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	some, err := bucket.Watch(ctx, "a.*")
	if err != nil {
		return err
	}
	return errors.Join(
		expectUpdates(every, "a.x=1", "b.x=2", ""),
		expectUpdates(some, "a.x=1", ""),
		put("b.x", "3"), put("a.y", "4"),
		expectUpdates(every, "b.x=3", "a.y=4"),
		expectUpdates(some, "a.y=4"),
		every.Stop(), some.Stop(),
	)
}

// expectUpdates reads that many updates; an empty one says that all that was there has come.
func expectUpdates(watcher jetstream.KeyWatcher, wanted ...string) error {
	for _, text := range wanted {
		got := ""
		select {
		case entry := <-watcher.Updates():
			if entry != nil {
				got = entry.Key() + "=" + string(entry.Value())
			}
		case <-time.After(patience):
			return fmt.Errorf("%q did not come", text)
		}
		if err := expectEqual(got, text, "update"); err != nil {
			return err
		}
	}
	return nil
}
