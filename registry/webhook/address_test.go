package webhook_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry/webhook"
)

// What makes other servers call themselves or their neighbours.
var poisoned = []string{
	"http://169.254.169.254/", "https://169.254.169.254/latest/meta-data", "https://127.0.0.1/", "https://127.1/",
	"https://127.0.0.1./", "https://0/", "https://0.0.0.0/", "https://0x7f.1/", "https://0x7f000001/", "https://2130706433/",
	"https://0177.0.0.1/", "https://017700000001/", "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/",
	"https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::1]/",
	"https://[2002:7f00:1::]/", "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
	"https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[2001:db8::1]/", "https://[fec0::1]/",
	"https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/", "https://100.64.0.1/",
	"https://100.100.100.200/", "https://192.0.0.192/", "https://198.18.0.1/", "https://224.0.0.1/", "https://255.255.255.255/", "https://240.0.0.1/",
	"https://user:pass@93.184.216.34/", "https://93.184.216.34@127.0.0.1/", "https://93.184.216.34\\@127.0.0.1/",
	"https://93.184.216.34 .example.com/", "https://93.184.216.34:0/", "https://93.184.216.34:99999/", "https://93.184.216.34:/", "https://93.184.216.34:x/",
	"http://93.184.216.34/", "ftp://93.184.216.34/", "file:///etc/passwd", "gopher://93.184.216.34/", "https:93.184.216.34", "//93.184.216.34/", "https:///x",
	"https://", "93.184.216.34", "javascript:alert(1)", "https://①②⑦.⓪.⓪.①/", "https://１２７.0.0.1/", "https://exämple.com/",
	"https://93.184.216.34/\r\nX: y", "https://93.184.216.34/\x00", "https://%31%32%37.0.0.1/", "https://a b/", "https://[::1", "https://[v1.x]/",
	"HTTPS://LOCALHOST\t/",
}

func TestRefusesAddresses(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	h := newHooks(t, s, nil)
	made, err := h.Create(t.Context(), draft("https://93.184.216.34/", webhook.AliasSet))
	require.NoError(t, err)
	for _, text := range append(poisoned, "https://"+strings.Repeat("x", 2048)) {
		_, err := h.Create(t.Context(), draft(text, webhook.AliasSet))
		require.ErrorIs(t, err, webhook.ErrInvalid, text)
		_, err = h.Update(t.Context(), made.ID, webhook.Update{URL: &text})
		require.ErrorIs(t, err, webhook.ErrInvalid, text)
	}
	got, err := h.Get(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, "https://93.184.216.34/", got.URL)
	for _, text := range []string{
		"https://93.184.216.34:8443/a?b=c#d", "https://[2606:2800:220:1::1]/", "https://[64:ff9b::5db8:d822]/", "https://[::ffff:93.184.216.34]/",
	} {
		_, err := h.Create(t.Context(), draft(text, webhook.AliasSet))
		require.NoError(t, err, text)
	}
}

func FuzzURL(f *testing.F) {
	for _, text := range poisoned {
		f.Add(text)
	}
	f.Add("https://example.com/")
	f.Fuzz(func(t *testing.T, text string) {
		host, err := webhook.CheckURL(nil, text)
		if err != nil {
			return
		}
		u, err := url.Parse(text)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Nil(t, u.User)
		if host == "" {
			a, err := netip.ParseAddr(u.Hostname())
			require.NoError(t, err)
			require.True(t, webhook.Allows(nil, a))
			require.False(t, a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified())
			return
		}
		require.Equal(t, u.Hostname(), host)
		_, err = netip.ParseAddr(host)
		require.Error(t, err)
	})
}

// names is a DNS server that answers each question for an IPv4 address with
// what answer says, and knows no IPv6. It returns a resolver that asks it.
func names(t *testing.T, answer func(name string) string) *net.Resolver {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := reply(buf[:n], answer); reply != nil {
				_, _ = server.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func reply(question []byte, answer func(name string) string) []byte {
	if len(question) < 12 {
		return nil
	}
	var labels []string
	at := 12
	for at < len(question) && question[at] != 0 {
		end := at + 1 + int(question[at])
		if end >= len(question) {
			return nil
		}
		labels = append(labels, string(question[at+1:end]))
		at = end
	}
	at += 5 // the root, type and class
	if at > len(question) {
		return nil
	}
	out := append([]byte(nil), question[:at]...)
	binary.BigEndian.PutUint16(out[2:], 0x8180) // an answer, without error
	clear(out[6:12])
	if binary.BigEndian.Uint16(question[at-4:]) != 1 { // only type A
		return out
	}
	addr := answer(strings.Join(labels, "."))
	if addr == "" {
		binary.BigEndian.PutUint16(out[2:], 0x8183) // no such name
		return out
	}
	out[7] = 1
	out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	a := netip.MustParseAddr(addr).As4()
	return append(out, a[:]...)
}

// A name that is public when it is looked at and private when it is used.
func TestRebinding(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	to := receive(t, nil)
	var asked atomic.Int32
	o := local()
	o.AllowNetworks = nil
	o.Resolver = names(t, func(name string) string {
		switch {
		case name == "private.example.com":
			return "10.0.0.1"
		case name != "rebind.example.com":
			return ""
		case asked.Add(1) == 1:
			return "93.184.216.34"
		}
		return "127.0.0.1"
	})
	h := newHooks(t, s, o)
	for _, name := range []string{"private.example.com", "absent.example.com", "localhost"} {
		_, err := h.Create(ctx, draft("http://"+name+"/", webhook.ModelCreated))
		require.ErrorIs(t, err, webhook.ErrInvalid, name)
	}
	_, port, err := net.SplitHostPort(to.Listener.Addr().String())
	require.NoError(t, err)
	made, err := h.Create(ctx, draft("http://rebind.example.com:"+port+"/", webhook.ModelCreated))
	require.NoError(t, err)
	got, err := h.Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.False(t, got.Delivered)
	require.Contains(t, got.Error, "not public")
	require.NoError(t, h.Start())
	model(t, s, "m")
	until(t, "given up at once", func() bool {
		b, err := h.Backlog(ctx, made.ID)
		return err == nil && b == webhook.Backlog{Failed: 1}
	})
	require.Empty(t, to.await(t, 0), "the receiver was never called")
	require.GreaterOrEqual(t, asked.Load(), int32(3), "the name was resolved again each time")
}

// What was allowed when a webhook was made may not be any more.
func TestRulesChange(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	to := receive(t, nil)
	made, err := newHooks(t, s, local()).Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	strict := newHooks(t, s, &webhook.Options{Poll: 10 * time.Millisecond})
	got, err := strict.Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.Contains(t, got.Error, "scheme")
	require.NoError(t, strict.Start())
	model(t, s, "m")
	until(t, "given up", func() bool {
		b, err := strict.Backlog(ctx, made.ID)
		return err == nil && b == webhook.Backlog{Failed: 1}
	})
	require.Empty(t, to.await(t, 0))
}

// The environment's proxy would make the connections, and nobody would check
// where to.
func TestUsesNoProxy(t *testing.T) {
	proxy := receive(t, nil)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	to := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	made, err := h.Create(t.Context(), draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	got, err := h.Test(t.Context(), made.ID, "")
	require.NoError(t, err)
	require.Equal(t, webhook.TestResult{Delivered: true, Status: http.StatusNoContent}, got)
	require.Empty(t, proxy.await(t, 0))
}
