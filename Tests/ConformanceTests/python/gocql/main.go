// The Go driver's view: connect, show the schema, write, read, page, batch, and read errors.
//
//	main ADDRESS PORT KEYSPACE PORT-WITH-PASSWORDS
//
// Prints a line for each behaviour: "ok NAME" or "FAIL NAME: reason".
package main

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gocql/gocql"
	"gopkg.in/inf.v0"
)

var failed = false

func check(name string, err error) {
	if err != nil {
		failed = true
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
	} else {
		fmt.Printf("ok %s\n", name)
	}
}

func cluster(version int) *gocql.ClusterConfig {
	config := gocql.NewCluster(os.Args[1])
	port, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	config.Port = port
	config.ProtoVersion = version
	config.Consistency = gocql.Quorum
	config.Timeout = 60 * time.Second
	config.ConnectTimeout = 60 * time.Second
	return config
}

func connect(config *gocql.ClusterConfig) (string, error) {
	session, err := config.CreateSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	var key string
	err = session.Query("SELECT key FROM system.local").Scan(&key)
	if err == nil && key != "local" {
		err = fmt.Errorf("the key is %q", key)
	}
	return key, err
}

// logIn connects to the other port, where passwords are asked for.
func logIn(password string) error {
	config := cluster(4)
	port, err := strconv.Atoi(os.Args[4])
	if err != nil {
		return err
	}
	config.Port = port
	config.Authenticator = gocql.PasswordAuthenticator{Username: "cassandra", Password: password}
	_, err = connect(config)
	return err
}

// refusedLogin says what is wrong with how a wrong password is answered.
func refusedLogin() error {
	err := logIn("wrong")
	if err == nil {
		return fmt.Errorf("it was let in")
	}
	if !strings.Contains(err.Error(), "Provided username cassandra and/or password are incorrect") {
		return err
	}
	return nil
}

func types(session *gocql.Session) error {
	err := session.Query(`CREATE TABLE IF NOT EXISTS go_types (
		k int PRIMARY KEY, a text, b bigint, c boolean, d double, e blob, f uuid, g timestamp,
		h varint, i decimal, j inet, l frozen<list<int>>, m frozen<map<text, int>>, t timeuuid)`).Exec()
	if err != nil {
		return err
	}
	id, _ := gocql.RandomUUID()
	moment := time.Date(2024, 2, 29, 12, 30, 15, 250000000, time.UTC)
	large, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	number := inf.NewDec(314159, 5)
	timed := gocql.TimeUUID()
	err = session.Query(
		"INSERT INTO go_types (k, a, b, c, d, e, f, g, h, i, j, l, m, t) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		1, "text", int64(1)<<40, true, 1.5, []byte{0, 255}, id, moment, large, number, "127.0.0.1",
		[]int{1, 2}, map[string]int{"a": 1}, timed).Exec()
	if err != nil {
		return err
	}
	var a, j string
	var b int64
	var c bool
	var d float64
	var e []byte
	var f, t gocql.UUID
	var g time.Time
	var h *big.Int
	var i *inf.Dec
	var l []int
	var m map[string]int
	err = session.Query("SELECT a, b, c, d, e, f, g, h, i, j, l, m, t FROM go_types WHERE k = ?", 1).
		Scan(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &l, &m, &t)
	if err != nil {
		return err
	}
	if a != "text" || b != int64(1)<<40 || !c || d != 1.5 || !bytes.Equal(e, []byte{0, 255}) ||
		f != id || !g.Equal(moment) || h.Cmp(large) != 0 || i.Cmp(number) != 0 || j != "127.0.0.1" ||
		!reflect.DeepEqual(l, []int{1, 2}) || m["a"] != 1 || t != timed {
		return fmt.Errorf("other values came back: %v %v %v %v %v %v %v %v %v %v %v %v", a, b, c, d, e, f, g, h, i, j, l, m)
	}
	return nil
}

func paging(session *gocql.Session) error {
	err := session.Query(
		"CREATE TABLE IF NOT EXISTS go_pages (k int, c int, PRIMARY KEY (k, c))").Exec()
	if err != nil {
		return err
	}
	for c := 0; c < 100; c++ {
		if err := session.Query("INSERT INTO go_pages (k, c) VALUES (?, ?)", c%7, c).Exec(); err != nil {
			return err
		}
	}
	for _, size := range []int{1, 7, 1000} {
		seen := map[int]bool{}
		iterator := session.Query("SELECT c FROM go_pages").PageSize(size).Iter()
		var c int
		for iterator.Scan(&c) {
			if seen[c] {
				return fmt.Errorf("page size %d: row %d came twice", size, c)
			}
			seen[c] = true
		}
		if err := iterator.Close(); err != nil {
			return err
		}
		if len(seen) != 100 {
			return fmt.Errorf("page size %d: %d rows", size, len(seen))
		}
	}
	return nil
}

// The driver forgets what it knew of a keyspace some time after it was told of a change.
func schemaInTime(session *gocql.Session, keyspace string) error {
	var err error
	for attempt := 0; attempt < 600; attempt++ {
		if err = schema(session, keyspace); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func schema(session *gocql.Session, keyspace string) error {
	metadata, err := session.KeyspaceMetadata(keyspace)
	if err != nil {
		return err
	}
	table, found := metadata.Tables["go_pages"]
	if !found {
		return fmt.Errorf("go_pages is not among %v", len(metadata.Tables))
	}
	if len(table.PartitionKey) != 1 || table.PartitionKey[0].Name != "k" {
		return fmt.Errorf("partition key %v", table.PartitionKey)
	}
	if len(table.ClusteringColumns) != 1 || table.ClusteringColumns[0].Name != "c" {
		return fmt.Errorf("clustering columns %v", table.ClusteringColumns)
	}
	if metadata.StrategyClass != "org.apache.cassandra.locator.SimpleStrategy" {
		return fmt.Errorf("strategy %s", metadata.StrategyClass)
	}
	return nil
}

func batch(session *gocql.Session) error {
	group := session.NewBatch(gocql.LoggedBatch)
	for c := 1000; c < 1020; c++ {
		group.Query("INSERT INTO go_pages (k, c) VALUES (?, ?)", 99, c)
	}
	if err := session.ExecuteBatch(group); err != nil {
		return err
	}
	var count int
	err := session.Query("SELECT count(*) FROM go_pages WHERE k = 99").Scan(&count)
	if err == nil && count != 20 {
		err = fmt.Errorf("%d rows", count)
	}
	return err
}

func refusals(session *gocql.Session) error {
	err := session.Query("CREATE TABLE go_pages (k int PRIMARY KEY)").Exec()
	if exists, is := err.(*gocql.RequestErrAlreadyExists); !is || exists.Table != "go_pages" {
		return fmt.Errorf("not AlreadyExists but %T %v", err, err)
	}
	err = session.Query("SELECT * FROM go_nowhere").Exec()
	if request, is := err.(gocql.RequestError); !is || request.Code() != gocql.ErrCodeInvalid {
		return fmt.Errorf("not Invalid but %T %v", err, err)
	}
	err = session.Query("SELEC").Exec()
	if request, is := err.(gocql.RequestError); !is || request.Code() != gocql.ErrCodeSyntax {
		return fmt.Errorf("not SyntaxError but %T %v", err, err)
	}
	var c int
	err = session.Query("SELECT c FROM go_pages WHERE k = 12345").Scan(&c)
	if err != gocql.ErrNotFound {
		return fmt.Errorf("not ErrNotFound but %v", err)
	}
	return nil
}

func main() {
	keyspace := os.Args[3]
	_, err := connect(cluster(0))
	check("it finds the version by itself", err)
	for _, version := range []int{3, 4} {
		_, err = connect(cluster(version))
		check(fmt.Sprintf("it connects with version %d", version), err)
	}
	compressed := cluster(4)
	compressed.Compressor = &gocql.SnappyCompressor{}
	_, err = connect(compressed)
	check("it connects with snappy", err)

	config := cluster(4)
	config.Keyspace = keyspace
	config.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	session, err := config.CreateSession()
	check("it opens a session with token awareness", err)
	if err != nil {
		os.Exit(3)
	}
	defer session.Close()
	check("values of all types come back", types(session))
	check("paging gives every row once", paging(session))
	check("it knows the schema", schemaInTime(session, keyspace))
	check("a batch writes all", batch(session))
	check("errors have their codes", refusals(session))
	check("it logs in with a password", logIn("cassandra"))
	check("it is refused with a wrong password", refusedLogin())
	if failed {
		os.Exit(3)
	}
}
