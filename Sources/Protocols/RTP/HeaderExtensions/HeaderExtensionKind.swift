/// The header extensions that Martlet knows.
package enum HeaderExtensionKind: Int, CaseIterable, Sendable {
  /// RFC 9143 §15.
  case mid
  /// RFC 8852 §4.
  case rid, repairedRID
  /// RFC 6464.
  case audioLevel
  /// RFC 5450.
  case transmissionOffset
  case absoluteSendTime, transportSequenceNumber, absoluteCaptureTime
  /// 3GPP TS 26.114 §7.4.5.
  case videoOrientation
  case playoutDelay
  /// AV1 RTP specification, appendix A.
  case dependencyDescriptor

  package init?(uri: String) {
    guard let kind = Self.allCases.first(where: { $0.uri == uri }) else { return nil }
    self = kind
  }

  /// What SDP calls it (RFC 8285 §5).
  package var uri: String {
    switch self {
    case .mid: "urn:ietf:params:rtp-hdrext:sdes:mid"
    case .rid: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    case .repairedRID: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    case .audioLevel: "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    case .transmissionOffset: "urn:ietf:params:rtp-hdrext:toffset"
    case .absoluteSendTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    case .transportSequenceNumber: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    case .absoluteCaptureTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
    case .videoOrientation: "urn:3gpp:video-orientation"
    case .playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    case .dependencyDescriptor: "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    }
  }
}
