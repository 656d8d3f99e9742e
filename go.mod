module github.com/nightjarmq/nightjar

go 1.26
