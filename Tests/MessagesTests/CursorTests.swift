import MartletMessages
import MartletPrimitives
import Testing

@Suite struct CursorTests {
  @Test func `a cursor is EPOCH:OFFSET and comes back as it was written`() throws {
    let cursor = try Cursor("k3j-9_Z:42")
    #expect(cursor == Cursor(epoch: "k3j-9_Z", offset: 42))
    #expect(cursor.description == "k3j-9_Z:42")
  }

  @Test(arguments: [
    "", ":", "a:", ":1", "a:-1", "a:1:2", "a:99999999999999999999", "ü:1", "a b:1", String(repeating: "a", count: 33) + ":1", "a:+1",
  ])
  func `anything else is refused`(text: String) {
    #expect(throws: ParseError.self) { try Cursor(text) }
  }

  @Test func `a channel's namespace is its first segment`() throws {
    #expect(try ChannelName("chat/general").namespace == "chat")
    #expect(try ChannelName("lobby").namespace == "")
  }

  @Test(arguments: ["", "/a", "a/", "a//b", "a/../b", ".", "a\nb", String(repeating: "x", count: 256)])
  func `an absurd channel name is refused`(text: String) {
    #expect(throws: ParseError.self) { try ChannelName(text) }
  }
}
