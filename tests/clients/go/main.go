// Checks a broker with nats.go; see ../README.md.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const patience = 10 * time.Second

type report struct {
	Client string            `json:"client"`
	Passed []string          `json:"passed"`
	Failed map[string]string `json:"failed"`
}

type check struct {
	name string
	run  func(client *nats.Conn, url string) error
}

// Core NATS.
var coreChecks = []check{
	{"connect", connect},
	{"pub_sub", pubSub},
	{"wildcards", wildcards},
	{"queue_group", queueGroup},
	{"request_reply", requestReply},
	{"no_responders", noResponders},
	{"headers", headers},
	{"auto_unsubscribe", autoUnsubscribe},
	{"large_payload", largePayload},
	{"drain", drain},
}

// gather returns the next messages of a subscription.
func gather(subscription *nats.Subscription, count int) ([]*nats.Msg, error) {
	messages := make([]*nats.Msg, 0, count)
	for len(messages) < count {
		message, err := subscription.NextMsg(patience)
		if err != nil {
			return nil, fmt.Errorf("got %d of %d: %w", len(messages), count, err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

func expectTexts(subscription *nats.Subscription, wanted ...string) error {
	messages, err := gather(subscription, len(wanted))
	if err != nil {
		return err
	}
	for place, message := range messages {
		if string(message.Data) != wanted[place] {
			return fmt.Errorf("message %d is %q, not %q", place, message.Data, wanted[place])
		}
	}
	return nil
}

// expectSilence wants nothing more to be on its way once a flush is answered.
func expectSilence(client *nats.Conn, subscription *nats.Subscription) error {
	if err := client.FlushTimeout(patience); err != nil {
		return err
	}
	if pending, _, err := subscription.Pending(); err != nil || pending > 0 {
		return fmt.Errorf("%d messages too many (%v)", pending, err)
	}
	return nil
}

func connect(client *nats.Conn, _ string) error {
	if client.ConnectedServerVersion() == "" || client.MaxPayload() < 1024 {
		return fmt.Errorf("version %q, max_payload %d", client.ConnectedServerVersion(), client.MaxPayload())
	}
	return client.FlushTimeout(patience)
}

func pubSub(client *nats.Conn, _ string) error {
	subscription, err := client.SubscribeSync("go.pub_sub")
	if err != nil {
		return err
	}
	var every [256]byte
	for value := range every {
		every[value] = byte(value)
	}
	wanted := make([]string, 1000)
	for number := range wanted {
		wanted[number] = string(every[:]) + "\r\n" + strconv.Itoa(number)
		if err := client.Publish("go.pub_sub", []byte(wanted[number])); err != nil {
			return err
		}
	}
	if err := expectTexts(subscription, wanted...); err != nil {
		return err
	}
	return expectSilence(client, subscription)
}

func wildcards(client *nats.Conn, _ string) error {
	one, err := client.SubscribeSync("go.wild.*.end")
	if err != nil {
		return err
	}
	rest, err := client.SubscribeSync("go.wild.>")
	if err != nil {
		return err
	}
	for _, subject := range []string{"go.wild.a.end", "go.wild.b.end", "go.wild.a.b.end", "go.wild", "go.wild.a"} {
		if err := client.Publish(subject, []byte(subject)); err != nil {
			return err
		}
	}
	return errors.Join(
		expectTexts(one, "go.wild.a.end", "go.wild.b.end"),
		expectTexts(rest, "go.wild.a.end", "go.wild.b.end", "go.wild.a.b.end", "go.wild.a"),
		expectSilence(client, one),
		expectSilence(client, rest),
	)
}

func queueGroup(client *nats.Conn, _ string) error {
	got := make(chan string, 1024)
	for range 3 {
		_, err := client.QueueSubscribe("go.queue", "workers", func(message *nats.Msg) { got <- string(message.Data) })
		if err != nil {
			return err
		}
	}
	for number := range 300 {
		if err := client.Publish("go.queue", []byte(strconv.Itoa(number))); err != nil {
			return err
		}
	}
	seen := make(map[string]bool)
	for len(seen) < 300 {
		select {
		case text := <-got:
			if seen[text] {
				return fmt.Errorf("%s came twice", text)
			}
			seen[text] = true
		case <-time.After(patience):
			return fmt.Errorf("got %d of 300", len(seen))
		}
	}
	return client.FlushTimeout(patience)
}

func requestReply(client *nats.Conn, _ string) error {
	_, err := client.Subscribe("go.service", func(message *nats.Msg) {
		_ = message.Respond(append([]byte("re: "), message.Data...))
	})
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	failures := make([]error, 50)
	for number := range failures {
		group.Go(func() {
			answer, err := client.Request("go.service", []byte(strconv.Itoa(number)), patience)
			if err == nil && string(answer.Data) != fmt.Sprintf("re: %d", number) {
				err = fmt.Errorf("request %d got %q", number, answer.Data)
			}
			failures[number] = err
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

func noResponders(client *nats.Conn, _ string) error {
	if _, err := client.Request("go.nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("ended with %v", err)
	}
	return nil
}

func headers(client *nats.Conn, _ string) error {
	subscription, err := client.SubscribeSync("go.headers")
	if err != nil {
		return err
	}
	sent := nats.NewMsg("go.headers")
	sent.Header = nats.Header{"Trace-Id": {"a b:c"}, "Many": {"one", "two"}}
	if err := client.PublishMsg(sent); err != nil {
		return err
	}
	messages, err := gather(subscription, 1)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(messages[0].Header, sent.Header) || len(messages[0].Data) > 0 {
		return fmt.Errorf("headers %v, payload %q", messages[0].Header, messages[0].Data)
	}
	return nil
}

func autoUnsubscribe(client *nats.Conn, _ string) error {
	limited, err := client.SubscribeSync("go.max")
	if err != nil {
		return err
	}
	if err := limited.AutoUnsubscribe(3); err != nil {
		return err
	}
	other, err := client.SubscribeSync("go.max")
	if err != nil {
		return err
	}
	for number := range 5 {
		if err := client.Publish("go.max", []byte(strconv.Itoa(number))); err != nil {
			return err
		}
	}
	if err := errors.Join(expectTexts(limited, "0", "1", "2"), expectTexts(other, "0", "1", "2", "3", "4")); err != nil {
		return err
	}
	if _, err := limited.NextMsg(patience); !errors.Is(err, nats.ErrMaxMessages) && !errors.Is(err, nats.ErrBadSubscription) {
		return fmt.Errorf("the limited subscription ended with %v", err)
	}
	return nil
}

func largePayload(client *nats.Conn, _ string) error {
	subscription, err := client.SubscribeSync("go.large")
	if err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("\x00\r\n\xff"), int(client.MaxPayload()/4)+1)[:client.MaxPayload()]
	if err := client.Publish("go.large", payload); err != nil {
		return err
	}
	if err := expectTexts(subscription, string(payload)); err != nil {
		return errors.New("the payload changed on its way, or did not come")
	}
	if err := client.Publish("go.large", append(payload, 'x')); !errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("a payload above the limit: %v", err)
	}
	return nil
}

func drain(client *nats.Conn, url string) error {
	closed := make(chan struct{})
	leaving, err := nats.Connect(url, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return err
	}
	var got atomic.Int64
	if _, err := leaving.Subscribe("go.drain", func(*nats.Msg) { got.Add(1) }); err != nil {
		return err
	}
	if err := leaving.FlushTimeout(patience); err != nil {
		return err
	}
	for number := range 100 {
		if err := client.Publish("go.drain", []byte(strconv.Itoa(number))); err != nil {
			return err
		}
	}
	if err := client.FlushTimeout(patience); err != nil {
		return err
	}
	if err := leaving.Drain(); err != nil {
		return err
	}
	select {
	case <-closed:
	case <-time.After(patience):
		return errors.New("still open after drain")
	}
	if got.Load() != 100 {
		return fmt.Errorf("got %d of 100", got.Load())
	}
	return nil
}

// troubles collects what happened to a connection that nothing should happen to.
type troubles struct {
	sync.Mutex
	list []string
}

func (t *troubles) add(text string) {
	t.Lock()
	defer t.Unlock()
	t.list = append(t.list, text)
}

func run(url string, checks []check) (*report, error) {
	var troubles troubles
	client, err := nats.Connect(url,
		nats.NoReconnect(),
		nats.Timeout(patience),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { troubles.add(err.Error()) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { troubles.add(fmt.Sprintf("disconnected: %v", err)) }),
	)
	if err != nil {
		return nil, err
	}
	report := &report{Client: "nats.go " + nats.Version, Failed: map[string]string{}}
	note := func(name string, err error) {
		if err != nil {
			report.Failed[name] = err.Error()
			return
		}
		report.Passed = append(report.Passed, name)
	}
	for _, check := range checks {
		note(check.name, check.run(client, url))
	}
	troubles.Lock()
	defer troubles.Unlock()
	if len(troubles.list) > 0 {
		note("steady", fmt.Errorf("%q", troubles.list))
	} else {
		note("steady", nil)
	}
	// The connection stays open until the process ends, so that its end is no trouble.
	return report, nil
}

func main() {
	checks := append(append(coreChecks, streamChecks...), bucketChecks...)
	if len(os.Args) > 2 && os.Args[2] != "all" {
		checks = restartChecks[os.Args[2]]
	}
	report, err := run(os.Args[1], checks)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(report)
	if len(report.Failed) > 0 {
		os.Exit(1)
	}
}
