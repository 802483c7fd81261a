import Foundation
import FuzzEntries
import Testing

/// What fuzzing has found and what it begins with, through every parser again. A broken property traps and names itself.
@Suite struct ReplayTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fuzz")

  private func inputs(_ folder: String, of name: String) -> [URL] {
    let folder = Self.root.appending(path: folder).appending(path: name)
    return (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
  }

  @Test(arguments: FuzzEntry.all.map(\.name)) func `seeds, corpus and crashes pass, whole and cut short`(name: String) throws {
    let entry = try #require(FuzzEntry.all.first { $0.name == name })
    #expect(!entry.seeds.isEmpty && !entry.seeds.contains([]), "a fuzzer without valid input finds the first check only")
    var found = entry.seeds
    for file in inputs("Corpus", of: name) + inputs("Crashes", of: name) { found.append(Array(try Data(contentsOf: file))) }
    for bytes in found {
      entry.run(bytes)
      let step = max(1, bytes.count / 64)
      for count in stride(from: 0, to: bytes.count, by: step) { entry.run(Array(bytes[..<count])) }
    }
  }

  @Test func `every folder belongs to an entry`() throws {
    let names = Set(FuzzEntry.all.map(\.name))
    #expect(names.count == FuzzEntry.all.count)
    for folder in ["Corpus", "Crashes"] {
      let found = (try? FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: folder).path)) ?? []
      #expect(Set(found.filter { !$0.hasPrefix(".") && $0 != "README.md" }).isSubset(of: names))
    }
  }
}
