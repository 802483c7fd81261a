internal import MartletPeerEngine
internal import MartletPrimitives

extension PeerConnection {
  /// RTCConfiguration, as far as it concerns a program.
  public struct Configuration: Sendable {
    /// RTCIceServer. URLs are `stun:HOST[:PORT]` (RFC 7064), `turn:HOST[:PORT][?transport=udp|tcp]` and
    /// `turns:HOST[:PORT][?transport=udp|tcp]`, which is TLS unless it says `udp`, and DTLS then (RFC 7065).
    public struct ICEServer: Sendable, Equatable {
      public var urls: [String]
      /// Of TURN servers, with the long-term credential (RFC 8489 §9.2).
      public var username: String
      public var credential: String

      public init(urls: [String], username: String = "", credential: String = "") {
        self.urls = urls
        self.username = username
        self.credential = credential
      }
    }

    /// RTCIceTransportPolicy. With `relay` the peer learns no address of this machine.
    public enum ICETransportPolicy: String, Sendable { case all, relay }

    /// Whose certificates are believed. Apart from `insecure` the certificate must also name the host.
    public enum Trust: Sendable, Equatable {
      /// The certificate authorities of the operating system.
      case system
      /// Only these, in PEM form: authorities, or the one certificate of a server that signs for itself.
      case certificates(pem: String)
      /// Any certificate for any name: for tests on your own machine.
      case insecure
    }

    /// ICE over TCP (RFC 6544): `active` connects to a peer's passive candidates, which cost nothing until there are any; `passive` too
    /// listens on a port of each address.
    public enum TCPCandidates: Sendable { case none, active, activeAndPassive }

    /// At most 16 URLs.
    public var iceServers: [ICEServer] = []
    public var iceTransportPolicy = ICETransportPolicy.all
    /// Of TURN servers over TLS.
    public var turnTrust = Trust.system
    /// Without it there are only candidates of TCP, and relays that are reached by TCP or TLS.
    public var usesUDP = true
    public var tcpCandidates = TCPCandidates.active
    /// Loopback addresses are candidates too: for two programs of one machine.
    public var includesLoopback = false
    /// Bytes of the largest message that is taken from the peer; announced as `max-message-size`. 1 to 16,777,216.
    public var maximumMessageSize = 262_144
    public init() {}
  }

  /// RTCSessionDescription.
  public struct SessionDescription: Sendable, Equatable {
    public enum Kind: String, Sendable { case offer, pranswer, answer, rollback }
    public var kind: Kind
    /// The SDP (RFC 8866); empty for a rollback.
    public var sdp: String

    public init(_ kind: Kind, sdp: String) {
      self.kind = kind
      self.sdp = sdp
    }
  }

  /// RTCIceCandidate: one line of trickle ICE (RFC 8838).
  public struct Candidate: Sendable, Equatable {
    /// `candidate:…`; empty says that there are no more.
    public var candidate: String
    public var mid: String?
    public var lineIndex: Int?

    public init(_ candidate: String, mid: String? = nil, lineIndex: Int? = nil) {
      self.candidate = candidate
      self.mid = mid
      self.lineIndex = lineIndex
    }
  }

  /// RTCPeerConnectionIceErrorEvent: a STUN or TURN server that gives no candidate, or none any more.
  public struct CandidateError: Sendable, Equatable {
    /// Of the configuration.
    public let url: String
    /// Where it was asked from: `192.0.2.1:5000`.
    public let localAddress: String?
    /// A STUN error code, such as 401 for wrong credentials; 701 when the server was not reached or not understood.
    public let code: Int
    public let text: String
  }

  public enum ConnectionState: String, Sendable { case new, connecting, connected, disconnected, failed, closed }
  public enum SignalingState: String, Sendable {
    case stable
    case haveLocalOffer = "have-local-offer"
    case haveRemoteOffer = "have-remote-offer"
    case haveLocalPranswer = "have-local-pranswer"
    case haveRemotePranswer = "have-remote-pranswer"
    case closed
  }

  @nonexhaustive public enum Event: Sendable {
    case connectionState(ConnectionState)
    case signalingState(SignalingState)
    /// Make an offer when nothing else is under way.
    case negotiationNeeded
    /// A candidate to send to the peer; `nil` when there are no more.
    case candidate(Candidate?)
    case candidateError(CandidateError)
    /// The peer opened a channel.
    case dataChannel(DataChannel)
    /// The peer sends on this transceiver, or sends again.
    case track(MediaTransceiver)
    /// The peer cannot decode what this transceiver sends before its next key frame.
    case keyFrameRequested(MediaTransceiver)
  }

  /// A summary in the terms of webrtc-stats.
  public struct Statistics: Sendable, Equatable {
    public var bytesSent = 0, bytesReceived = 0
    public var packetsSent = 0
    /// Of the selected pair: `127.0.0.1:5000`.
    public var remoteAddress: String?
    public var localCandidateType: String?, remoteCandidateType: String?
    public var currentRoundTripTime: Duration?
    /// Bits a second that the path is thought to carry to the peer; `nil` where its feedback does not tell, and before anything is sent.
    /// An encoder that follows it keeps the delay short: frames that would wait for more than half a second are not sent.
    public var availableOutgoingBitrate: Int?
    public var dtlsCipher: String?
    public var srtpCipher: String?
    /// Of data channels.
    public var messagesSent = 0, messagesReceived = 0
    public var congestionWindow = 0
  }
}

/// Why a call on a peer connection failed. Two are equal when their codes are.
public struct PeerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The names of the W3C's exceptions.
  public enum Code: String, Sendable { case invalidState, invalidAccess, operation, syntax, network, closed }
  public let code: Code
  public let reason: String

  internal init(_ code: Code, _ reason: String) {
    self.code = code
    self.reason = reason
  }

  public var description: String { reason }
  public static func == (a: PeerError, b: PeerError) -> Bool { a.code == b.code }
}

extension PeerError {
  init(_ error: NegotiationError) {
    let code: Code =
      switch error {
      case .invalidState: .invalidState
      case .invalidAccess, .invalidModification: .invalidAccess
      default: .operation
      }
    self.init(code, "\(error)")
  }
}

extension TimeSpan {
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self.init(nanoseconds: Int64(clamping: Double(seconds) * 1e9 + Double(attoseconds) / 1e9))
  }
}
