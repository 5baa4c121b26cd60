module github.com/pushbridge/pushbridge/tools/demo

go 1.26
