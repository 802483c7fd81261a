import MartletHTTP
import MartletPrimitives

/// Server-Sent Events, as a client reads them.
extension FuzzEntry {
  private static let stream = "\u{FEFF}retry: 10\r\n: c\r\n\r\nid: 1\revent: e\rdata: a\rdata\r\r\ndata: ä\nid\n\nid: 2\n\n"

  static let eventStream = FuzzEntry("event-stream", seeds: [Array(stream.utf8)]) { bytes in
    let whole = read([bytes[...]])
    require(whole == read(pieces(bytes)), "events that depend on how the bytes were cut")
    guard let (events, _) = whole.map({ ($0.events, $0.id) }) else { return }
    for event in events {
      require(event.data.utf8.count <= 3 * 64 && !event.event.isEmpty, "an event beyond the limit")
      require(!event.id.utf8.contains(0) && !event.data.utf8.contains(13), "an id with NUL, or a line that did not end")
      // Written out, it reads as it was.
      let lines = event.data.split(separator: "\n", omittingEmptySubsequences: false).map { "data: \($0)\n" }.joined()
      let again = read([Array("id: \(event.id)\nevent: \(event.event)\n\(lines)\n".utf8)[...]], limit: 4096)
      require(again?.events == [event], "an event that does not come back")
    }
  }

  private struct Reading: Equatable {
    var events: [ServerSentEvent]
    var id: String
  }

  private static func read(_ pieces: [ArraySlice<UInt8>], limit: Int = 64) -> Reading? {
    var limits = EventStreamParser.Limits()
    (limits.line, limits.event) = (limit, limit)
    var (parser, events) = (EventStreamParser(limits: limits), [ServerSentEvent]())
    for piece in pieces {
      guard (try? parser.receive(piece.span.bytes, into: &events)) != nil else { return nil }
    }
    return Reading(events: events, id: parser.lastEventID)
  }
}
