internal import MartletPrimitives

/// Walks the elements of a header extension, of the one-byte form (RFC 8285 §4.2) or the two-byte form (§4.3). What does not fit
/// the extension ends the walk: a broken extension must not cost the packet.
package struct HeaderExtensionIterator: ~Escapable {
  package struct Element: Equatable, Sendable {
    package var id: UInt8
    /// Where its value lies in the packet.
    package var range: Range<Int>
  }

  private enum Form { case oneByte, twoBytes, unknown }
  private let packet: RawSpan
  private let form: Form
  private let end: Int
  private var at: Int

  @_lifetime(copy packet)
  package init(_ header: RTPHeader, in packet: RawSpan) {
    self.packet = packet
    form =
      switch header.extensionProfile {
      case .some(0xBEDE): .oneByte
      // The low four bits are the application's ("appbits").
      case .some(let profile) where profile & 0xFFF0 == 0x1000: .twoBytes
      default: .unknown
      }
    at = header.extensionRange.lowerBound
    end = min(header.extensionRange.upperBound, packet.byteCount)
  }

  @_lifetime(self: copy self)
  package mutating func next() -> Element? {
    while at < end, let first = packet.byte(at: at) {
      if first == 0, form != .unknown {
        // Padding.
        at += 1
        continue
      }
      switch form {
      case .unknown: return nil
      case .oneByte:
        // §4.2: id 15 ends the extension; id 0 with a length has no meaning.
        let id = first >> 4
        return id == 0 || id == 15 ? nil : element(id, valueAt: at + 1, count: Int(first & 0x0F) + 1)
      case .twoBytes:
        guard at + 1 < end, let count = packet.byte(at: at + 1) else { return nil }
        return element(first, valueAt: at + 2, count: Int(count))
      }
    }
    return nil
  }

  @_lifetime(self: copy self)
  private mutating func element(_ id: UInt8, valueAt start: Int, count: Int) -> Element? {
    guard start + count <= end else {
      at = end
      return nil
    }
    at = start + count
    return Element(id: id, range: start..<start + count)
  }
}

extension RTPHeader {
  /// The value of the first element with `id`, as its range in the packet.
  package func element(_ id: UInt8, in packet: RawSpan) -> Range<Int>? {
    var elements = HeaderExtensionIterator(self, in: packet)
    while let element = elements.next() {
      if element.id == id { return element.range }
    }
    return nil
  }
}
