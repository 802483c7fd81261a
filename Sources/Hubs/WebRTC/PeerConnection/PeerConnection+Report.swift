extension PeerConnection {
  /// What getStats says (W3C webrtc-stats), with its names; times are in seconds. Ids name an entry as long as the connection lives.
  public struct Report: Sendable, Equatable {
    public struct Transport: Sendable, Equatable {
      public var bytesSent = 0, bytesReceived = 0
      public var packetsSent = 0, packetsReceived = 0
      /// `controlling` or `controlled`.
      public var iceRole = ""
      public var iceState = ""
      public var selectedCandidatePairId: String?
      public var dtlsCipher: String?
      public var srtpCipher: String?
    }

    public struct Candidate: Sendable, Equatable {
      public var id: String
      /// An address, or a name that is not resolved.
      public var address: String
      public var port: Int
      /// `udp` or `tcp`.
      public var `protocol`: String
      /// `host`, `srflx`, `prflx` or `relay`.
      public var candidateType: String
      public var priority: Int
      /// `active`, `passive` or `so`.
      public var tcpType: String?
    }

    public struct CandidatePair: Sendable, Equatable {
      public var id: String
      public var localCandidateId: String
      public var remoteCandidateId: String
      /// `frozen`, `waiting`, `in-progress`, `succeeded` or `failed`.
      public var state: String
      public var nominated: Bool
      public var priority: UInt64
      public var requestsSent: Int, responsesReceived: Int
      public var requestsReceived: Int, responsesSent: Int
      public var consentRequestsSent: Int
      /// `nil` before the first answer.
      public var currentRoundTripTime: Double?
      public var totalRoundTripTime: Double
    }

    public struct Codec: Sendable, Equatable {
      public var payloadType: Int
      /// `video/VP8`.
      public var mimeType: String
      public var clockRate: Int
    }

    public struct InboundRTP: Sendable, Equatable {
      public var ssrc: UInt32
      public var mid: String
      public var rid: String?
      public var kind: MediaTransceiver.Kind
      public var codec: Codec
      public var packetsReceived: Int, bytesReceived: Int
      /// Negative when duplicates outnumber losses.
      public var packetsLost: Int
      public var jitter: Double
      /// Lost at first.
      public var retransmittedPacketsReceived: Int
      public var pliCount: Int
    }

    public struct OutboundRTP: Sendable, Equatable {
      public var ssrc: UInt32
      public var mid: String
      public var codec: Codec?
      public var packetsSent: Int, bytesSent: Int
      public var retransmittedPacketsSent: Int
      /// Key frames that the peer asked for.
      public var pliCount: Int
      /// remote-inbound-rtp: what the peer reports; `nil` before it does.
      public var remote: RemoteInboundRTP?
    }

    public struct RemoteInboundRTP: Sendable, Equatable {
      public var packetsLost: Int
      /// Of the packets between the last two reports, 0 to 1.
      public var fractionLost: Double
      public var jitter: Double
      public var roundTripTime: Double?
    }

    public struct DataChannel: Sendable, Equatable {
      public var dataChannelIdentifier: Int
      public var label: String
      public var `protocol`: String
      public var bufferedAmount: Int
    }

    public var transport = Transport()
    public var candidatePairs: [CandidatePair] = []
    public var localCandidates: [Candidate] = [], remoteCandidates: [Candidate] = []
    public var inboundRTP: [InboundRTP] = []
    public var outboundRTP: [OutboundRTP] = []
    public var dataChannels: [DataChannel] = []
    /// Of this end's certificate, as in the description: `sha-256 AA:BB:…`.
    public var certificateFingerprint = ""
  }
}
