"""cqlengine, the object mapper of the Python driver: models of every type, tables made from models, queries, updates,
batches, counters, conditional writes, and what it refuses."""

import datetime
import decimal
import uuid

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cqlengine import CQLEngineException, ValidationError, columns, connection, functions, management, query
from cassandra.cqlengine.models import Model, ModelDefinitionException
from cassandra.cqlengine.query import BatchQuery, DoesNotExist, LWTException, MultipleObjectsReturned
from cassandra.cqlengine.usertype import UserType
from cassandra.query import dict_factory
from cassandra.util import Date, Duration, Time

from harness import Failed, asserted_refusal, behaviour, equal, true

KEYSPACE = "conformance_mapper"


class Address(UserType):
    street = columns.Text()
    number = columns.Integer()


class Everything(Model):
    __keyspace__ = KEYSPACE
    id = columns.UUID(primary_key=True, default=uuid.uuid4)
    c_ascii = columns.Ascii()
    c_text = columns.Text()
    c_int = columns.Integer()
    c_tiny = columns.TinyInt()
    c_small = columns.SmallInt()
    c_big = columns.BigInt()
    c_varint = columns.VarInt()
    c_float = columns.Float()
    c_double = columns.Double()
    c_decimal = columns.Decimal()
    c_boolean = columns.Boolean()
    c_blob = columns.Blob()
    c_inet = columns.Inet()
    c_uuid = columns.UUID()
    c_timeuuid = columns.TimeUUID()
    c_date = columns.Date()
    c_time = columns.Time()
    c_datetime = columns.DateTime()
    c_duration = columns.Duration()
    c_list = columns.List(columns.Integer())
    c_set = columns.Set(columns.Text())
    c_map = columns.Map(columns.Text(), columns.Integer())
    c_tuple = columns.Tuple(columns.Integer(), columns.Text())
    c_frozen = columns.UserDefinedType(Address)
    c_list_of_types = columns.List(columns.UserDefinedType(Address))


class Person(Model):
    __keyspace__ = KEYSPACE
    __table_name__ = "people"
    name = columns.Text(primary_key=True)
    age = columns.Integer()
    city = columns.Text(db_field="town")
    tags = columns.Set(columns.Text())
    friends = columns.List(columns.Text())
    scores = columns.Map(columns.Text(), columns.Integer())


class Reading(Model):
    __keyspace__ = KEYSPACE
    __options__ = {"comment": "readings of sensors", "gc_grace_seconds": 1000,
                   "compaction": {"class": "LeveledCompactionStrategy", "sstable_size_in_mb": "64"}}
    sensor = columns.Integer(partition_key=True)
    day = columns.Integer(partition_key=True)
    at = columns.Integer(primary_key=True, clustering_order="DESC")
    place = columns.Text(static=True)
    value = columns.Integer()


class Visits(Model):
    __keyspace__ = KEYSPACE
    page = columns.Text(primary_key=True)
    seen = columns.Counter()
    liked = columns.Counter()


class Event(Model):
    __keyspace__ = KEYSPACE
    day = columns.Integer(primary_key=True)
    at = columns.TimeUUID(primary_key=True)
    what = columns.Text()


class Animal(Model):
    __keyspace__ = KEYSPACE
    __table_name__ = "animals"
    id = columns.Integer(primary_key=True)
    kind = columns.Text(discriminator_column=True)
    name = columns.Text()


class Cat(Animal):
    __discriminator_value__ = "cat"
    sleeps = columns.Integer()


class Dog(Animal):
    __discriminator_value__ = "dog"
    barks = columns.Boolean()


MODELS = [Everything, Person, Reading, Visits, Event, Cat, Dog]


def engine(env):
    """The mapper's connection and tables, made once."""
    def make():
        env.session  # it makes the keyspace
        session = env.cluster(profile=env.profile(row_factory=dict_factory)).connect()
        connection.register_connection("coterie", session=session, default=True)
        for model in MODELS:
            management.sync_table(model)
        return session
    return env.shared("engine", make)


def mapped(function):
    """A behaviour that begins with a connected mapper."""
    def check(env):
        engine(env)
        function(env)
    check.__name__ = function.__name__
    check.statement = "clients"
    return behaviour(check)


def refused(exception, phrase, action):
    try:
        action()
    except exception as error:
        if phrase.lower() not in str(error).lower():
            raise Failed(f"{phrase!r} is not in {str(error)!r}") from None
        asserted_refusal(phrase)
        return
    raise Failed(f"expected {exception.__name__} with {phrase!r}")


VALUES = {
    "c_ascii": "plain", "c_text": "gr\u00fc\u00df dich \U0001f600", "c_int": -2**31, "c_tiny": -128, "c_small": 32767,
    "c_big": 2**63 - 1, "c_varint": -10**40, "c_float": 0.5, "c_double": 1.0000000000000002,
    "c_decimal": decimal.Decimal("-123.4500"), "c_boolean": True, "c_blob": b"\x00\xff", "c_inet": "10.1.2.3",
    "c_uuid": uuid.UUID(int=7), "c_timeuuid": uuid.uuid1(), "c_date": Date("2024-02-29"), "c_time": Time("13:14:15.123456789"),
    "c_datetime": datetime.datetime(2024, 2, 29, 12, 30, 15, 123000), "c_duration": Duration(1, 2, 3000),
    "c_list": [3, 1, 2, 1], "c_set": {"a", "b"}, "c_map": {"x": 1, "y": 2}, "c_tuple": (1, "one"),
    "c_frozen": Address(street="Main", number=5),
    "c_list_of_types": [Address(street="A", number=1), Address(street="B", number=2)],
}


def column_check(name, value):
    def check(env):
        engine(env)
        made = Everything.create(**{name: value})
        equal(getattr(Everything.get(id=made.id), name), value)
        setattr(made, name, None)
        made.save()
        left = getattr(Everything.get(id=made.id), name)
        true(left is None or len(left) == 0 if hasattr(left, "__len__") else left is None, f"after None: {left!r}")
    check.__name__ = "a model keeps " + name[2:].replace("_", " ")
    check.statement = "clients"
    behaviour(check)


for _name, _value in VALUES.items():
    column_check(_name, _value)


@mapped
def all_columns_at_once(env):
    made = Everything.create(**VALUES)
    found = Everything.get(id=made.id)
    for name, value in VALUES.items():
        equal(getattr(found, name), value, name)


@mapped
def a_table_has_the_columns_and_options_of_its_model(env):
    table = env.cluster().connect().cluster.metadata.keyspaces[KEYSPACE].tables["reading"]
    equal([c.name for c in table.partition_key], ["sensor", "day"])
    equal([c.name for c in table.clustering_key], ["at"])
    true(table.columns["at"].is_reversed, "at is DESC")
    true(table.columns["place"].is_static, "place is static")
    equal(table.options["comment"], "readings of sensors")
    equal(table.options["gc_grace_seconds"], 1000)
    true("LeveledCompactionStrategy" in table.options["compaction"]["class"], str(table.options["compaction"]))


@mapped
def making_a_table_again_changes_nothing(env):
    before = env.rows(f"SELECT id FROM system_schema.tables WHERE keyspace_name = '{KEYSPACE}' AND table_name = 'people'")
    management.sync_table(Person)
    after = env.rows(f"SELECT id FROM system_schema.tables WHERE keyspace_name = '{KEYSPACE}' AND table_name = 'people'")
    equal(after, before)


@mapped
def a_model_that_grew_adds_its_columns(env):
    class Grown1(Model):
        __keyspace__ = KEYSPACE
        __table_name__ = "grown"
        id = columns.Integer(primary_key=True)

    class Grown2(Model):
        __keyspace__ = KEYSPACE
        __table_name__ = "grown"
        id = columns.Integer(primary_key=True)
        more = columns.Text()
        many = columns.List(columns.Integer())

    management.sync_table(Grown1)
    Grown1.create(id=1)
    management.sync_table(Grown2)
    Grown2.create(id=2, more="x", many=[1])
    equal(sorted((row.id, row.more, row.many) for row in Grown2.all()), [(1, None, []), (2, "x", [1])])
    management.drop_table(Grown2)


@mapped
def a_user_defined_type_that_grew_adds_its_fields(env):
    class Place1(UserType):
        __type_name__ = "place"
        x = columns.Integer()

    class Place2(UserType):
        __type_name__ = "place"
        x = columns.Integer()
        y = columns.Integer()

    management.sync_type(KEYSPACE, Place1)
    management.sync_type(KEYSPACE, Place2)
    equal(env.rows(f"SELECT field_names FROM system_schema.types WHERE keyspace_name = '{KEYSPACE}' AND type_name = 'place'"),
          [(["x", "y"],)])


@mapped
def a_dropped_table_is_gone(env):
    class Short(Model):
        __keyspace__ = KEYSPACE
        id = columns.Integer(primary_key=True)

    management.sync_table(Short)
    management.drop_table(Short)
    refused(InvalidRequest, "does not exist", lambda: Short.create(id=1))
    management.drop_table(Short)


@mapped
def a_keyspace_is_made_and_dropped(env):
    management.create_keyspace_simple("conformance_mapper_2", 1)
    management.create_keyspace_network_topology("conformance_mapper_3", {"datacenter1": 1})
    for name in ("conformance_mapper_2", "conformance_mapper_3"):
        equal(len(env.rows(f"SELECT * FROM system_schema.keyspaces WHERE keyspace_name = '{name}'")), 1)
        management.drop_keyspace(name)
        equal(len(env.rows(f"SELECT * FROM system_schema.keyspaces WHERE keyspace_name = '{name}'")), 0)


@mapped
def a_row_is_created_read_changed_and_deleted(env):
    Person.create(name="Ada", age=36, city="London")
    ada = Person.get(name="Ada")
    equal((ada.age, ada.city), (36, "London"))
    ada.update(age=37)
    equal(Person.get(name="Ada").age, 37)
    ada.city = None
    ada.save()
    equal(Person.get(name="Ada").city, None)
    ada.delete()
    refused(DoesNotExist, "", lambda: Person.get(name="Ada"))


def people(env):
    def make():
        for place, name in enumerate(("Ben", "Cleo", "Dan", "Eva")):
            Person.create(name=name, age=20 + place, city="Rome" if place % 2 else "Oslo")
    env.shared("people", make)


@mapped
def a_query_by_key_and_by_several_keys(env):
    people(env)
    equal([row.age for row in Person.objects(name="Ben")], [20])
    equal(sorted(row.name for row in Person.objects(name__in=["Ben", "Eva", "Nobody"])), ["Ben", "Eva"])


@mapped
def a_query_by_value_allows_filtering(env):
    people(env)
    equal(sorted(row.name for row in Person.objects.filter(age__gte=22).allow_filtering()), ["Dan", "Eva"])
    refused(query.QueryException, "", lambda: list(Person.objects.filter(age__gte=22)))


@mapped
def a_renamed_column_is_queried_by_its_name_in_the_model(env):
    people(env)
    equal(sorted(row.name for row in Person.objects.filter(city="Oslo").allow_filtering()), ["Ben", "Dan"])


@mapped
def a_query_counts_limits_and_picks_columns(env):
    people(env)
    names = ["Ben", "Cleo", "Dan", "Eva"]
    equal(Person.objects(name__in=names).count(), 4)
    equal(len(list(Person.objects(name__in=names).limit(2))), 2)
    equal(sorted(Person.objects(name__in=names).values_list("age", flat=True)), [20, 21, 22, 23])
    equal([row.city for row in Person.objects(name="Ben").only(["city"])], ["Oslo"])
    equal([row.age for row in Person.objects(name="Ben").defer(["city"])], [20])


@mapped
def a_query_pages_through_all_rows(env):
    people(env)
    equal(len([row for row in Person.objects.all().fetch_size(1) if row.name in ("Ben", "Cleo", "Dan", "Eva")]), 4)


@mapped
def a_query_of_one_that_finds_several_is_refused(env):
    people(env)
    refused(MultipleObjectsReturned, "", lambda: Person.objects(name__in=["Ben", "Eva"]).get())


@mapped
def a_first_row_and_none(env):
    people(env)
    equal(Person.objects(name="Ben").first().age, 20)
    equal(Person.objects(name="Nobody").first(), None)


def readings(env):
    def make():
        for at in range(10):
            Reading.create(sensor=1, day=1, at=at, value=at * at, place="roof")
    env.shared("readings", make)


@mapped
def clustering_columns_come_in_their_order(env):
    readings(env)
    equal([row.at for row in Reading.objects(sensor=1, day=1)], list(range(9, -1, -1)))
    equal([row.at for row in Reading.objects(sensor=1, day=1).order_by("at")], list(range(10)))
    equal([row.at for row in Reading.objects(sensor=1, day=1).order_by("-at").limit(2)], [9, 8])


@mapped
def clustering_columns_are_queried_by_range(env):
    readings(env)
    equal([row.at for row in Reading.objects(sensor=1, day=1, at__gt=3, at__lte=6)], [6, 5, 4])
    equal([row.at for row in Reading.objects(sensor=1, day=1, at__in=[2, 8])], [8, 2])


@mapped
def a_static_column_is_the_same_in_all_rows(env):
    readings(env)
    Reading.objects(sensor=1, day=1, at=3).update(value=9)
    equal({row.place for row in Reading.objects(sensor=1, day=1)}, {"roof"})


@mapped
def rows_are_queried_by_token(env):
    readings(env)
    equal(len(list(Reading.objects.filter(pk__token__gt=functions.Token(1, 1)).limit(100))) >= 0, True)
    equal(len(list(Person.objects.filter(pk__token__gte=functions.Token("Ben")).limit(1))), 1)


@mapped
def times_are_queried_by_the_smallest_uuid(env):
    moments = [datetime.datetime(2024, 1, 1, hour) for hour in range(5)]
    for moment in moments:
        Event.create(day=1, at=columns.TimeUUID.from_datetime(moment) if hasattr(columns.TimeUUID, "from_datetime")
                     else _uuid_of(moment), what=str(moment.hour))
    found = Event.objects(day=1).filter(at__gte=functions.MinTimeUUID(moments[2])).filter(
        at__lt=functions.MinTimeUUID(moments[4]))
    equal([row.what for row in found], ["2", "3"])


def _uuid_of(moment):
    from cassandra.util import uuid_from_time
    return uuid_from_time(moment)


@mapped
def a_query_updates_a_set(env):
    Person.create(name="Fay", tags={"a"})
    Person.objects(name="Fay").update(tags__add={"b", "c"})
    equal(Person.get(name="Fay").tags, {"a", "b", "c"})
    Person.objects(name="Fay").update(tags__remove={"a"})
    equal(Person.get(name="Fay").tags, {"b", "c"})
    Person.objects(name="Fay").update(tags={"z"})
    equal(Person.get(name="Fay").tags, {"z"})


@mapped
def a_query_updates_a_list(env):
    Person.create(name="Gus", friends=["b"])
    Person.objects(name="Gus").update(friends__append=["c", "d"])
    Person.objects(name="Gus").update(friends__prepend=["x", "a"])
    equal(Person.get(name="Gus").friends, ["x", "a", "b", "c", "d"])


@mapped
def a_query_updates_a_map(env):
    Person.create(name="Hal", scores={"a": 1})
    Person.objects(name="Hal").update(scores__update={"b": 2, "a": 3})
    equal(Person.get(name="Hal").scores, {"a": 3, "b": 2})
    Person.objects(name="Hal").update(scores__remove={"a"})
    equal(Person.get(name="Hal").scores, {"b": 2})


@mapped
def a_changed_collection_is_saved_by_its_difference(env):
    ida = Person.create(name="Ida", tags={"a", "b"}, friends=["m"], scores={"x": 1})
    ida.tags.add("c")
    ida.tags.discard("a")
    ida.friends.append("n")
    ida.friends.insert(0, "l")
    ida.scores["y"] = 2
    ida.save()
    found = Person.get(name="Ida")
    equal((found.tags, found.friends, found.scores), ({"b", "c"}, ["l", "m", "n"], {"x": 1, "y": 2}))
    found.tags, found.friends, found.scores = set(), [], {}
    found.save()
    found = Person.get(name="Ida")
    equal((found.tags, found.friends, found.scores), (set(), [], {}))


@mapped
def counters_go_up_and_down(env):
    Visits(page="home").update(seen=3, liked=1)
    home = Visits.get(page="home")
    home.seen += 4
    home.liked -= 2
    home.update()
    home = Visits.get(page="home")
    equal((home.seen, home.liked), (7, -1))


@mapped
def a_batch_writes_all_rows(env):
    with BatchQuery() as batch:
        Person.batch(batch).create(name="Jim", age=1)
        Person.batch(batch).create(name="Kim", age=2)
    equal(sorted(row.age for row in Person.objects(name__in=["Jim", "Kim"])), [1, 2])
    with BatchQuery() as batch:
        Person.objects(name="Jim").batch(batch).update(age=5)
        Person.objects(name="Kim").batch(batch).delete()
    equal([row.age for row in Person.objects(name__in=["Jim", "Kim"])], [5])


@mapped
def batches_of_every_kind(env):
    for kind in (None, query.BatchType.Unlogged):
        with BatchQuery(batch_type=kind) as batch:
            Person.batch(batch).create(name="Lea", age=3)
        equal(Person.get(name="Lea").age, 3)
        Person.objects(name="Lea").delete()


@mapped
def a_batch_with_a_timestamp(env):
    with BatchQuery(timestamp=datetime.timedelta(seconds=-100)) as batch:
        Person.batch(batch).create(name="Mia", age=1)
    Person.objects(name="Mia").timestamp(datetime.timedelta(seconds=-200)).update(age=2)
    equal(Person.get(name="Mia").age, 1)


@mapped
def a_batch_calls_back(env):
    called = []
    with BatchQuery() as batch:
        Person.batch(batch).create(name="Ned")
        batch.add_callback(called.append, 5)
    equal(called, [5])


@mapped
def a_time_to_live_of_a_row(env):
    Person.ttl(1000).create(name="Oda", age=1)
    left = env.rows(f"SELECT ttl(age) FROM {KEYSPACE}.people WHERE name = 'Oda'")[0][0]
    true(left is not None and 900 < left <= 1000, f"ttl {left}")


@mapped
def a_timestamp_of_a_write(env):
    Person.timestamp(datetime.timedelta(seconds=100)).create(name="Pia", age=1)
    Person.create(name="Pia", age=2)
    equal(Person.get(name="Pia").age, 1)


@mapped
def a_consistency_of_a_query(env):
    Person.consistency(ConsistencyLevel.ALL).create(name="Quin", age=1)
    equal(Person.objects(name="Quin").consistency(ConsistencyLevel.ONE).get().age, 1)


@mapped
def an_insert_if_not_exists(env):
    Person.objects(name="Rex").delete()
    Person.if_not_exists().create(name="Rex", age=1)
    refused(LWTException, "", lambda: Person.if_not_exists().create(name="Rex", age=2))
    equal(Person.get(name="Rex").age, 1)


@mapped
def a_failed_insert_if_not_exists_tells_the_row(env):
    Person.create(name="Roy", age=7)
    try:
        Person.if_not_exists().create(name="Roy", age=8)
    except LWTException as error:
        equal((error.existing["name"], error.existing["age"], error.existing["[applied]"]), ("Roy", 7, False))
    else:
        raise Failed("it was applied")


@mapped
def an_update_if_a_column_has_a_value(env):
    Person.create(name="Sam", age=1)
    Person.objects(name="Sam").iff(age=1).update(age=2)
    refused(LWTException, "", lambda: Person.objects(name="Sam").iff(age=1).update(age=3))
    equal(Person.get(name="Sam").age, 2)
    Person.objects(name="Sam").iff(age__gt=1, age__ne=9).update(age=4)
    equal(Person.get(name="Sam").age, 4)


@mapped
def an_update_if_exists(env):
    Person.objects(name="Tim").delete()
    refused(LWTException, "", lambda: Person.objects(name="Tim").if_exists().update(age=1))
    Person.create(name="Tim", age=1)
    Person.objects(name="Tim").if_exists().update(age=2)
    equal(Person.get(name="Tim").age, 2)


@mapped
def a_deletion_if(env):
    Person.create(name="Una", age=1)
    refused(LWTException, "", lambda: Person.objects(name="Una").iff(age=2).delete())
    Person.objects(name="Una").iff(age=1).delete()
    equal(Person.objects(name="Una").count(), 0)
    refused(LWTException, "", lambda: Person.objects(name="Una").if_exists().delete())


@mapped
def models_of_one_table_are_told_apart(env):
    Cat.create(id=1, name="Tom", sleeps=20)
    Dog.create(id=2, name="Rex", barks=True)
    found = {row.id: row for row in Animal.objects(id__in=[1, 2])}
    equal((type(found[1]), type(found[2])), (Cat, Dog))
    equal((found[1].sleeps, found[2].barks), (20, True))


@mapped
def a_deleted_range_of_rows(env):
    for at in range(4):
        Reading.create(sensor=2, day=1, at=at, value=at)
    Reading.objects(sensor=2, day=1, at__gte=2).delete()
    equal([row.at for row in Reading.objects(sensor=2, day=1)], [1, 0])
    Reading.objects(sensor=2, day=1).delete()
    equal(Reading.objects(sensor=2, day=1).count(), 0)


@mapped
def an_average_by_hand_and_a_distinct_query(env):
    readings(env)
    equal([(row.sensor, row.day) for row in Reading.objects.distinct() if row.sensor == 1], [(1, 1)])


@mapped
def a_model_that_does_not_fit_its_value_is_refused_before_it_is_sent(env):
    refused(ValidationError, "", lambda: Everything.create(c_int="many"))
    refused(ValidationError, "", lambda: Everything.create(c_boolean=None, c_uuid="no uuid"))


@mapped
def statements_of_a_context_go_to_another_keyspace(env):
    management.create_keyspace_simple("conformance_mapper_4", 1)
    management.sync_table(Person, keyspaces=["conformance_mapper_4"])
    with query.ContextQuery(Person, keyspace="conformance_mapper_4") as Other:
        Other.objects(name="Vic").update(age=1)
        equal(Other.get(name="Vic").age, 1)
    equal(Person.objects(name="Vic").count(), 0)
    management.drop_keyspace("conformance_mapper_4")
