import Encoding
import Model
import Testing

@Suite struct CQLTypeTests {
    @Test func namesAreThoseOfTheGrammar() {
        #expect(CQLType.map(.text, .list(.int, frozen: true), frozen: true).cqlName == "frozen<map<text, frozen<list<int>>>>")
        #expect(CQLType.tuple([.int, .text]).cqlName == "frozen<tuple<int, text>>")
        #expect(CQLType.vector(.float, dimensions: 3).cqlName == "vector<float, 3>")
    }
}
