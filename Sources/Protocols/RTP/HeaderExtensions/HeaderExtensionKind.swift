/// The header extensions that Martlet knows, by the names that SDP gives them (RFC 8285 §5).
package enum HeaderExtensionKind: String, CaseIterable, Sendable {
  /// RFC 9143 §15.
  case mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
  /// RFC 8852 §4.
  case rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
  case repairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
  /// RFC 6464.
  case audioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
  /// RFC 5450.
  case transmissionOffset = "urn:ietf:params:rtp-hdrext:toffset"
  case absoluteSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
  case transportSequenceNumber = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
  case absoluteCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
  /// 3GPP TS 26.114 §7.4.5.
  case videoOrientation = "urn:3gpp:video-orientation"
  case playoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
  /// AV1 RTP specification, appendix A.
  case dependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
}
