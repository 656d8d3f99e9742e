module github.com/nightjarmq/nightjar/conformance

go 1.26
