// Package llm measures the gateway serve/llm against net/http's ReverseProxy.
package llm
