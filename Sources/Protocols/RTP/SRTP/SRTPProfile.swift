/// How packets are encrypted and authenticated, as DTLS-SRTP negotiates it (RFC 5764 §4.1.2, RFC 7714 §14.2).
package enum SRTPProfile: UInt16, CaseIterable, Sendable {
  case aes128CounterModeHMACSHA1_80 = 0x0001
  /// RTP tags of 32 bits; those of RTCP have 80 all the same (RFC 3711 §5.2).
  case aes128CounterModeHMACSHA1_32 = 0x0002
  case aeadAES128GCM = 0x0007
  case aeadAES256GCM = 0x0008

  package var keyBytes: Int { self == .aeadAES256GCM ? 32 : 16 }
  package var saltBytes: Int { isGCM ? 12 : 14 }

  /// What `protect` adds to an RTP packet.
  package var rtpOverhead: Int {
    switch self {
    case .aes128CounterModeHMACSHA1_80: 10
    case .aes128CounterModeHMACSHA1_32: 4
    case .aeadAES128GCM, .aeadAES256GCM: 16
    }
  }

  /// What `protectControl` adds to an RTCP packet: the tag and the word with the index.
  package var rtcpOverhead: Int { (isGCM ? 16 : 10) + 4 }

  var isGCM: Bool { self == .aeadAES128GCM || self == .aeadAES256GCM }
  var rtcpTagBytes: Int { rtcpOverhead - 4 }
}
