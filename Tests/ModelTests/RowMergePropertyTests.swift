import Testing

@testable import Model

@Test func noDeletionShadowsNothing() {
    #expect(!Deletion.none.shadows(.min))
}
