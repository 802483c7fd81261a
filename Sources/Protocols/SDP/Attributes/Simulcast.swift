/// `rid` (RFC 8851 §4): a restricted stream of a section, by a name that header extensions repeat.
package struct RID: Equatable, Sendable {
  package var id: String
  package var isSend: Bool
  /// `pt=96,97`, `max-width=1280`, `max-br=500000` and others, in order.
  package var restrictions = FormatParameters()

  package init(id: String, isSend: Bool) {
    self.id = id
    self.isSend = isSend
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    id = try reader.choice("a rid of letters, digits, - and _") { $0.utf8.allSatisfy(RID.isAllowed) ? $0 : nil }
    try reader.space(before: "send or recv")
    isSend = try reader.choice("send or recv") { $0 == "send" ? true : $0 == "recv" ? false : nil }
    reader.skipSpaces()
    restrictions = FormatParameters(reader.rest())
  }

  /// RFC 8851 §10. RFC 8852 §3 leaves `-` and `_` out; a reader is liberal.
  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
    default: byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
  }
}

extension RID: CustomStringConvertible {
  package var description: String { "\(id) \(isSend ? "send" : "recv")" + (restrictions.isEmpty ? "" : " \(restrictions)") }
}

/// `simulcast` (RFC 8853 §5): the streams of one source, from the most wanted on; each a choice between alternatives.
package struct Simulcast: Equatable, Sendable {
  package struct Alternative: Equatable, Sendable {
    package var rid: String
    /// `~`: not sent at first.
    package var isPaused = false

    package init(rid: String, isPaused: Bool = false) {
      self.rid = rid
      self.isPaused = isPaused
    }
  }

  package typealias Stream = [Alternative]

  package var send: [Stream] = [], receive: [Stream] = []

  package init(send: [Stream] = [], receive: [Stream] = []) {
    self.send = send
    self.receive = receive
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    reader.skipSpaces()
    repeat {
      let isSend = try reader.choice("send or recv") { $0 == "send" ? true : $0 == "recv" ? false : nil }
      guard isSend ? send.isEmpty : receive.isEmpty else { throw reader.failure("send and recv at most once each") }
      try reader.space(before: "rids")
      if isSend { send = try Simulcast.streams(&reader) } else { receive = try Simulcast.streams(&reader) }
      reader.skipSpaces()
    } while !reader.isAtEnd
  }

  private static func streams(_ reader: inout FieldReader) throws(SDPError) -> [Stream] {
    var streams: [Stream] = []
    repeat {
      var stream: Stream = []
      repeat {
        let isPaused = reader.consume("~")
        stream.append(Alternative(rid: try reader.rid(), isPaused: isPaused))
      } while reader.consume(",")
      streams.append(stream)
    } while reader.consume(";")
    return streams
  }

  /// The answer of someone who takes part in what is offered, with the halves exchanged and only the rids in `accepted`.
  package func answered(keeping accepted: (String) -> Bool) -> Simulcast? {
    let kept = [send, receive].map { $0.map { $0.filter { accepted($0.rid) } }.filter { !$0.isEmpty } }
    return kept[0].isEmpty && kept[1].isEmpty ? nil : Simulcast(send: kept[1], receive: kept[0])
  }
}

extension FieldReader {
  /// A rid up to `,` or `;`.
  fileprivate mutating func rid() throws(SDPError) -> String {
    var rid: [UInt8] = []
    while let byte = next, ![UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: " ")].contains(byte) {
      rid.append(byte)
      _ = advance()
    }
    guard !rid.isEmpty else { throw failure("a rid") }
    return String(decoding: rid, as: UTF8.self)
  }
}

extension Simulcast: CustomStringConvertible {
  package var description: String {
    [("send", send), ("recv", receive)].filter { !$0.1.isEmpty }.map { half in
      half.0 + " " + half.1.map { $0.map { ($0.isPaused ? "~" : "") + $0.rid }.joined(separator: ",") }.joined(separator: ";")
    }.joined(separator: " ")
  }
}
