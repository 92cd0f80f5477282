import Testing

@testable import Storage

@Test func logPositionReadsItsOwnText() {
    let position = LogPosition(segment: 7, offset: 4711)
    #expect(LogPosition(position.description) == position)
    #expect(LogPosition("7") == nil)
    #expect(LogPosition("7:-1") == nil)
    #expect(LogPosition(segment: 7, offset: 4712) > position)
    #expect(LogPosition(segment: 8, offset: 0) > position)
}
