// Package feed streams shards of datasets over HTTP, as Arrow IPC, to training
// workers in any language: pyarrow, Polars, DuckDB and JavaScript read the
// stream with what they have.
//
//	handler, err := feed.New(catalog, nil)
//	mux.Handle("/feed/", http.StripPrefix("/feed", handler))
//
// # Streams
//
//	GET /churn?ref=12&shuffle=true&seed=1&epoch=0&rank=2&world=8
//
// is what package loader delivers for these settings. Its options are parameters
// of the same names: columns=a,b, where=age > 30, window, even, batch_rows, and
// split_key, split_seed, split_from, split_to. An unknown parameter is refused.
//
// The answer is an Arrow IPC stream. Each record carries its token as metadata,
// under "millwright.token": a worker that lost its connection, or was restarted,
// asks for the same with token=… and gets the next row. The schema's metadata
// and the headers Millwright-Version and Millwright-Digest name the version that
// is read, Millwright-Rows how many rows come where that is known, and the
// trailer Millwright-Token is the token of the end.
//
// Workers that share an epoch must read one version: a HEAD request without
// a ref finds the newest, and its Millwright-Ref is the ref of all that follow.
//
//	with urllib.request.urlopen(url) as body:
//	    reader = pyarrow.ipc.open_stream(body)
//	    batch, meta = reader.read_next_batch_with_custom_metadata()
//
// A stream that fails on the way is cut before the end of the HTTP body, which
// every client reports; it never looks complete. The server reads ahead of a
// slow client only as far as Limits.Prefetch says, and stops when the client
// goes away.
//
//	POST /churn/reshard?ref=12&shuffle=true&seed=1   {"world": 4, "tokens": ["…", …]}
//
// takes the tokens of all old ranks and answers those of another number of
// ranks, {"tokens": […]}; see loader.Loader.Reshard.
//
// Package dataset/flight serves the same streams with Arrow Flight.
package feed
