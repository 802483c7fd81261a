import MartletEndpoints
import MartletPrimitives
import TestSupport
import Testing

@Suite struct FileNameTests {
  @Test func `names that lead elsewhere or mislead are refused`() {
    for bad in [
      "", "/a", "a/", "a//b", ".", "..", "a/../b", ".hidden", "a/.b", "a\\b", "a\nb", "a\0", "a ", " a", "a.", "con", "Nul.txt", "a/com1",
      "\u{202E}a",
      "\u{85}", String(repeating: "x", count: 201), "a/b/c/d/e/f/g/h/i/j", String(repeating: "abcdefghi/", count: 25) + "x",
    ] { #expect(throws: ParseError.self) { try FileName(bad) } }
    for good in ["a", "a.b.c", "a/b", "ü ä.txt", "console", "a..b", "-", "日本.png"] { #expect(throws: Never.self) { try FileName(good) } }
  }

  @Test(arguments: [
    ("photo.jpg", "photo.jpg"), ("C:\\Users\\me\\photo.jpg", "photo.jpg"), ("../../etc/passwd", "passwd"), (".bashrc", "bashrc"),
    ("a:b?.txt", "a_b_.txt"), ("con.txt", "_con.txt"), ("...", "file"), ("", "file"), ("a\r\nb", "a__b"), ("x. ", "x"),
  ]) func `what can be kept of a given name`(_ given: String, _ kept: String) {
    #expect(FileName.safe(given).text == kept)
  }

  @Test func `whatever is given becomes a name`() {
    var random = SeededRandom(seed: 11)
    let alphabet: [Unicode.Scalar] = [".", " ", "/", "\\", "a", "\u{0}", "\u{301}", "\u{202E}", "c", "o", "n", "日", "\u{1F600}"]
    for _ in 0..<3000 {
      var text = ""
      for _ in 0..<Int.random(in: 0..<300, using: &random) {
        if let scalar = alphabet.randomElement(using: &random) { text.unicodeScalars.append(scalar) }
      }
      let name = FileName.safe(text)
      #expect((try? FileName(name.text)) == name && !name.text.contains("/"), "\(text.debugDescription) \(name.text.debugDescription)")
    }
  }
}
