internal import MartletSDP

/// What each payload type of a section is for. It is asked of every packet, and codecs are told by their names: those are compared
/// once, when they are negotiated.
struct PayloadRoles: Sendable {
  enum Role: Sendable {
    case unknown, media, retransmission, red, ulpfec, flexFEC, besideMedia
    /// Carried, but not used here.
    case other
  }

  private var roles = [Role](repeating: .unknown, count: 128)

  init(_ codecs: [RTPCodec]) {
    for codec in codecs where codec.payloadType < 128 { roles[Int(codec.payloadType)] = Self.role(of: codec) }
  }

  subscript(_ payloadType: UInt8) -> Role { roles[Int(payloadType & 0x7F)] }

  var hasFEC: Bool { roles.contains(.ulpfec) || roles.contains(.flexFEC) }

  private static func role(of codec: RTPCodec) -> Role {
    switch codec.name.lowercased() {
    case "rtx": .retransmission
    case "red": .red
    case "ulpfec": .ulpfec
    case "flexfec-03": .flexFEC
    case "cn", "telephone-event": .besideMedia
    default: codec.media == nil ? .other : .media
    }
  }
}
