module github.com/pushbridge/pushbridge/tools/testcount

go 1.26.0
