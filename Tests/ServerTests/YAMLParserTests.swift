import MartletServer
import TestSupport
import Testing

@Suite struct YAMLParserTests {
  private func parse(_ text: String) throws -> YAMLNode? { try YAMLParser.parse(Array(text.utf8)) }

  private func error(_ text: String) -> YAMLError? {
    do { _ = try parse(text) } catch let error as YAMLError { return error } catch {}
    return nil
  }

  @Test func `nodes know their lines and columns`() throws {
    guard case .map(let entries) = try parse("a: 1\nb:\n  - x\n  - {c: d}\n")?.content else {
      Issue.record("a map was expected")
      return
    }
    #expect(entries.map(\.key) == ["a", "b"])
    #expect(entries[1].place == .file(line: 2, column: 1))
    guard case .list(let items) = entries[1].value.content else {
      Issue.record("a list was expected")
      return
    }
    #expect(items.map(\.place) == [.file(line: 3, column: 5), .file(line: 4, column: 5)])
  }

  @Test func `an empty document is nothing`() throws {
    #expect(try parse("") == nil)
    #expect(try parse("# only a comment\n") == nil)
  }

  @Test func `anchors, aliases and tags are refused with the place`() {
    #expect(error("a: &x 1")?.place == .file(line: 1, column: 4))
    #expect(error("a: 1\nb: *x")?.reason.contains("aliases") == true || error("a: 1\nb: *x")?.place == .file(line: 2, column: 4))
    #expect(error("a: !!str 1")?.reason.contains("tags") == true)
  }

  @Test func `a key that comes twice names both places`() {
    let error = error("a: 1\nb: 2\na: 3")
    #expect(error?.place == .file(line: 3, column: 1))
    #expect(error?.reason.contains("line 1") == true)
  }

  @Test func `depth, size and number of values are bounded`() {
    #expect(error(String(repeating: "[", count: 100) + String(repeating: "]", count: 100))?.reason.contains("deeper") == true)
    #expect(error("[" + String(repeating: "a,", count: 30_000) + "]")?.reason.contains("more than") == true)
    #expect(error(String(repeating: " ", count: 2 << 20))?.reason.contains("longer") == true)
  }

  @Test func `a second document is refused`() { #expect(error("a: 1\n---\nb: 2")?.reason.contains("second document") == true) }

  @Test func `any cut of a file is an error or a document, never a trap`() {
    let text = Array(ConfigurationDocuments.example.utf8)
    for length in stride(from: 0, to: text.count, by: 7) { _ = try? YAMLParser.parse(Array(text.prefix(length))) }
  }

  @Test func `garbage is an error or a document, never a trap`() {
    var random = SeededRandom(seed: 7)
    let alphabet = Array("ab:-[]{}\n \t#&*!|>'\"%@`,?\u{e9}0".utf8) + [0, 0xFF]
    for _ in 0..<3000 {
      let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      _ = try? YAMLParser.parse(bytes)
    }
  }
}
