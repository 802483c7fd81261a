import MartletPrimitives
import MartletRTP

/// A sender and a receiver with one key, and buffers around them.
final class SRTPPair {
  var sender: SRTPSender
  var receiver: SRTPReceiver

  init(_ profile: SRTPProfile, seed: UInt64 = 1, limits: SRTPLimits = SRTPLimits()) throws {
    var random = RandomSource(seed: seed)
    let master = try SRTPMasterKey(profile, key: random.bytes(profile.keyBytes), salt: random.bytes(profile.saltBytes))
    sender = SRTPSender(profile, master, limits: limits)
    receiver = SRTPReceiver(profile, master, limits: limits)
  }

  func protect(_ packet: [UInt8]) throws -> [UInt8] { try sender.protected(packet) }
  func unprotect(_ packet: [UInt8]) throws -> [UInt8] { try receiver.unprotected(packet) }
}

extension SRTPSender {
  mutating func protected(_ packet: [UInt8]) throws -> [UInt8] {
    let bytes = packet.span.bytes
    let header = try RTPHeader(parsing: bytes)
    var output = [UInt8](repeating: 0, count: packet.count + profile.rtpOverhead)
    let count = try output.withUnsafeMutableBytes {
      try protect(header: bytes.extracting(first: header.byteCount), payload: bytes.extracting(droppingFirst: header.byteCount), into: $0)
    }
    return Array(output.prefix(count))
  }

  mutating func protectedControl(_ packet: [UInt8]) throws -> [UInt8] {
    var output = [UInt8](repeating: 0, count: packet.count + profile.rtcpOverhead)
    let count = try output.withUnsafeMutableBytes { try protectControl(packet.span.bytes, into: $0) }
    return Array(output.prefix(count))
  }
}

extension SRTPReceiver {
  mutating func unprotected(_ packet: [UInt8]) throws -> [UInt8] {
    var bytes = packet
    let count = try bytes.withUnsafeMutableBytes { try unprotect($0) }
    return Array(bytes.prefix(count))
  }

  mutating func unprotectedControl(_ packet: [UInt8]) throws -> [UInt8] {
    var bytes = packet
    let count = try bytes.withUnsafeMutableBytes { try unprotectControl($0) }
    return Array(bytes.prefix(count))
  }
}
