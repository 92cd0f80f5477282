// The fuzzer's corpora, replayed: every input that once reached new code, and every one that once
// trapped. `scripts/fuzz` finds more.

import Foundation
import Testing

@Suite struct CorpusTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/fuzz")

    @Test(arguments: FuzzTarget.all.map(\.name))
    func everyInputOfTheCorpusComesBack(target name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        let folder = Self.folder.appending(path: name)
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(!files.isEmpty, "the corpus is empty")
        for file in files {
            let bytes = try Data(contentsOf: folder.appending(path: file))
            bytes.withUnsafeBytes { target.run($0) }
        }
    }

    @Test func everyCorpusHasATarget() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(folders.sorted() == FuzzTarget.all.map(\.name).sorted())
    }
}
