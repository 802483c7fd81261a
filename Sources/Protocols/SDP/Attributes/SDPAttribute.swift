/// An `a=` line. What WebRTC uses is typed; the rest is kept as it is.
package enum SDPAttribute: Equatable, Sendable {
  /// RFC 5888 §4.
  case mid(String)
  /// `sendrecv` and its kin (RFC 8866 §6.7).
  case direction(MediaDirection)
  case group(SDPGroup)
  case msidSemantic(MSIDSemantic)
  case msid(MediaStreamID)
  /// RFC 8843 §6.
  case bundleOnly
  case rtpmap(RTPMap)
  case fmtp(format: String, FormatParameters)
  case rtcpFeedback(RTCPFeedback)
  case extmap(ExtensionMap)
  /// RFC 8285 §6.
  case extmapAllowMixed
  /// RFC 8839 §5.4.
  case iceUfrag(String), icePwd(String)
  /// RFC 8839 §5.6: `trickle`, `ice2`, `renomination`.
  case iceOptions([String])
  /// RFC 8839 §5.3.
  case iceLite
  /// What stands behind `candidate:`; ICE parses it.
  case candidate(String)
  /// RFC 8840 §8.2.
  case endOfCandidates
  case fingerprint(Fingerprint)
  case setup(SetupRole)
  case rtcp(RTCPAddress)
  /// RFC 5761 §5.1.1, RFC 8858 and RFC 5506 §5.
  case rtcpMux, rtcpMuxOnly, rtcpReducedSize
  case ssrc(SSRCAttribute)
  case ssrcGroup(SSRCGroup)
  case rid(RID)
  case simulcast(Simulcast)
  /// RFC 8841 §5 and §6; 0 is "any size".
  case sctpPort(UInt16), maxMessageSize(UInt64)
  case sctpMap(SCTPMap)
  /// Milliseconds of audio in a packet (RFC 8866 §6.4 and §6.5).
  case ptime(Double), maxptime(Double)
  /// Frames a second (RFC 8866 §6.13).
  case framerate(Double)
  case other(name: String, value: String?)
}

extension SDPAttribute {
  /// What stands before the colon.
  package var name: String {
    switch self {
    case .mid: "mid"
    case .direction(let direction): direction.rawValue
    case .group: "group"
    case .msidSemantic: "msid-semantic"
    case .msid: "msid"
    case .bundleOnly: "bundle-only"
    case .rtpmap: "rtpmap"
    case .fmtp: "fmtp"
    case .rtcpFeedback: "rtcp-fb"
    case .extmap: "extmap"
    case .extmapAllowMixed: "extmap-allow-mixed"
    case .iceUfrag: "ice-ufrag"
    case .icePwd: "ice-pwd"
    case .iceOptions: "ice-options"
    case .iceLite: "ice-lite"
    case .candidate: "candidate"
    case .endOfCandidates: "end-of-candidates"
    case .fingerprint: "fingerprint"
    case .setup: "setup"
    case .rtcp: "rtcp"
    case .rtcpMux: "rtcp-mux"
    case .rtcpMuxOnly: "rtcp-mux-only"
    case .rtcpReducedSize: "rtcp-rsize"
    case .ssrc: "ssrc"
    case .ssrcGroup: "ssrc-group"
    case .rid: "rid"
    case .simulcast: "simulcast"
    case .sctpPort: "sctp-port"
    case .maxMessageSize: "max-message-size"
    case .sctpMap: "sctpmap"
    case .ptime: "ptime"
    case .maxptime: "maxptime"
    case .framerate: "framerate"
    case .other(let name, _): name
    }
  }

  /// What stands behind the colon; `nil` for a property attribute, which has none.
  package var value: String? {
    switch self {
    case .direction, .bundleOnly, .extmapAllowMixed, .iceLite, .endOfCandidates, .rtcpMux, .rtcpMuxOnly, .rtcpReducedSize: nil
    case .mid(let text), .iceUfrag(let text), .icePwd(let text), .candidate(let text): text
    case .group(let group): group.description
    case .msidSemantic(let semantic): semantic.description
    case .msid(let id): id.description
    case .rtpmap(let map): map.description
    case .fmtp(let format, let parameters): "\(format) \(parameters)"
    case .rtcpFeedback(let feedback): feedback.description
    case .extmap(let map): map.description
    case .iceOptions(let options): options.joined(separator: " ")
    case .fingerprint(let fingerprint): fingerprint.description
    case .setup(let role): role.rawValue
    case .rtcp(let address): address.description
    case .ssrc(let attribute): attribute.description
    case .ssrcGroup(let group): group.description
    case .rid(let rid): rid.description
    case .simulcast(let simulcast): simulcast.description
    case .sctpPort(let port): String(port)
    case .maxMessageSize(let size): String(size)
    case .sctpMap(let map): map.description
    case .ptime(let number), .maxptime(let number), .framerate(let number): decimalText(number)
    case .other(_, let value): value
    }
  }
}

private func decimalText(_ number: Double) -> String {
  Int64(exactly: number).map { String($0) } ?? number.description
}
