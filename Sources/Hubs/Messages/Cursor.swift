package import MartletPrimitives

/// A place in a channel's history: everything up to `offset` has been seen. Written `EPOCH:OFFSET` on every transport.
///
/// An epoch is one uninterrupted numbering of a channel. When it ends (a channel in memory, at a restart), its offsets mean
/// nothing any more, and a cursor of it is told that history was lost.
package struct Cursor: Hashable, Sendable, CustomStringConvertible {
  package var epoch: String
  /// From 1; 0 stands before the first message.
  package var offset: Int

  package static let maximumEpochBytes = 32

  package init(epoch: String, offset: Int) {
    self.epoch = epoch
    self.offset = offset
  }

  /// - Throws: when it is not `EPOCH:OFFSET` of letters, digits, `-` and `_` and a whole number.
  package init(_ text: String) throws(ParseError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...Self.maximumEpochBytes).contains(parts[0].utf8.count), parts[0].utf8.allSatisfy(Self.isEpochByte),
      parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let offset = Int(parts[1])
    else { throw .invalid("a cursor is EPOCH:OFFSET, as a message carried it", at: 0) }
    self.init(epoch: String(parts[0]), offset: offset)
  }

  package var description: String { "\(epoch):\(offset)" }

  private static func isEpochByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 48...57, UInt8(ascii: "-"), UInt8(ascii: "_"): true
    default: false
    }
  }

  /// A new one: 60 random bits, which two channels in the world do not share.
  internal static func newEpoch() -> String {
    let digits = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
    return String(decoding: (0..<12).map { _ in digits[Int.random(in: 0..<36)] }, as: UTF8.self)
  }
}
