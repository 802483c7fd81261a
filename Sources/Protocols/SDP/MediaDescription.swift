/// One `m=` section (RFC 8866 §5.14).
package struct MediaDescription: Equatable, Sendable, SDPSection {
  package var kind: Kind
  /// 0 rejects the section, or leaves it to its bundle (RFC 8843 §6); 9 stands for "candidates will tell".
  package var port: UInt16
  /// `/2` behind the port: hierarchical encoding, 1 when absent.
  package var portCount: UInt16 = 1
  package var transport: TransportProtocol
  /// RTP payload types, or `webrtc-datachannel`, or the SCTP port in the form of 2014.
  package var formats: [String]
  package var connection: SessionDescription.Connection?
  package var bandwidths: [SessionDescription.Bandwidth] = []
  /// The lines of types i and k.
  package var uninterpreted: [SessionDescription.UninterpretedLine] = []
  /// In the order of the text.
  package var attributes: [SDPAttribute] = []

  package init(kind: Kind, port: UInt16 = 9, transport: TransportProtocol, formats: [String]) {
    self.kind = kind
    self.port = port
    self.transport = transport
    self.formats = formats
  }

  /// Port 0 without `bundle-only` (RFC 8843 §6): this section is refused or has ended.
  package var isRejected: Bool { port == 0 && !isBundleOnly }

  package enum Kind: Hashable, Sendable {
    case audio, video, application
    /// Such as `text`, `image`, `message`.
    case other(String)

    package init(_ name: String) {
      switch name {
      case "audio": self = .audio
      case "video": self = .video
      case "application": self = .application
      default: self = .other(name)
      }
    }
  }

  /// The proto field.
  package struct TransportProtocol: RawRepresentable, Hashable, Sendable {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }

    package static let udpTLSRTPSAVPF = TransportProtocol(rawValue: "UDP/TLS/RTP/SAVPF")
    package static let udpDTLSSCTP = TransportProtocol(rawValue: "UDP/DTLS/SCTP")

    /// RTP that DTLS-SRTP can secure, by the names in use since 2012 (RFC 8829 §5.1.2).
    package var isSecureRTP: Bool { rawValue.hasSuffix("RTP/SAVPF") || rawValue.hasSuffix("RTP/SAVP") }
    package var isRTP: Bool { rawValue.hasPrefix("RTP/") || rawValue.contains("/RTP/") }
    /// Data channels: `UDP/DTLS/SCTP`, `TCP/DTLS/SCTP`, and `DTLS/SCTP` of 2014.
    package var isSCTP: Bool { rawValue.hasSuffix("DTLS/SCTP") }
  }
}

extension MediaDescription.Kind: CustomStringConvertible {
  package var description: String {
    switch self {
    case .audio: "audio"
    case .video: "video"
    case .application: "application"
    case .other(let name): name
    }
  }
}
