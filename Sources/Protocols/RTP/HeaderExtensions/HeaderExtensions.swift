internal import MartletPrimitives

/// Which id each kind of header extension has, as negotiated for a media section (RFC 8285 §5).
package struct HeaderExtensions: Equatable, Sendable {
  /// By kind; 0 is none.
  private var ids = [UInt8](repeating: 0, count: HeaderExtensionKind.allCases.count)

  package init() {}

  /// Gives a kind its id, which is taken from any other kind. Answers whether it is a valid one: 1 to 255, but not 15, which ends
  /// the one-byte form.
  @discardableResult package mutating func register(_ kind: HeaderExtensionKind, id: UInt8) -> Bool {
    guard id != 0, id != 15 else { return false }
    if let former = self.kind(of: id) { ids[former.rawValue] = 0 }
    ids[kind.rawValue] = id
    return true
  }

  package func id(of kind: HeaderExtensionKind) -> UInt8? { ids[kind.rawValue] == 0 ? nil : ids[kind.rawValue] }

  package func kind(of id: UInt8) -> HeaderExtensionKind? {
    id == 0 ? nil : ids.firstIndex(of: id).flatMap(HeaderExtensionKind.init(rawValue:))
  }

  /// Those that have an id.
  package var kinds: [HeaderExtensionKind] { HeaderExtensionKind.allCases.filter { id(of: $0) != nil } }
}

extension RTPHeader {
  /// The value of an extension in `packet`, as its range.
  package func value(of kind: HeaderExtensionKind, in packet: RawSpan, _ extensions: HeaderExtensions) -> Range<Int>? {
    guard extensionProfile != nil, let id = extensions.id(of: kind) else { return nil }
    return element(id, in: packet)
  }

  /// The text of `mid`, `rid` or `repairedRID`.
  package func text(of kind: HeaderExtensionKind, in packet: RawSpan, _ extensions: HeaderExtensions) -> String? {
    value(of: kind, in: packet, extensions).flatMap { String(validating: packet.extracting($0)) }
  }

  package func transportSequenceNumber(in packet: RawSpan, _ extensions: HeaderExtensions) -> UInt16? {
    guard let range = value(of: .transportSequenceNumber, in: packet, extensions) else { return nil }
    var reader = ByteReader(packet.extracting(range))
    return try? reader.u16()
  }

  package func audioLevel(in packet: RawSpan, _ extensions: HeaderExtensions) -> AudioLevel? {
    value(of: .audioLevel, in: packet, extensions).flatMap { AudioLevel(packet.extracting($0)) }
  }
}

extension ExtensionElements {
  /// The number of the packet among all of its transport (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
  package mutating func append(_ id: UInt8, transportSequenceNumber: UInt16) { append(id, UInt64(transportSequenceNumber), count: 2) }
}
