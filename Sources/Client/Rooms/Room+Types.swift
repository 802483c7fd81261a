public import MartletWebRTC

extension Room {
  /// What a track shows or lets hear.
  public enum Source: String, Sendable, CaseIterable {
    case microphone, camera, screen
    case screenAudio = "screen-audio"

    public var kind: MediaTransceiver.Kind { self == .microphone || self == .screenAudio ? .audio : .video }
  }

  /// Somebody in the room, as it was when it was asked for.
  public struct Participant: Sendable, Equatable {
    /// How the others know it: what `send(_:to:)` and moderation take.
    public let id: String
    public internal(set) var name: String
    /// What it says of itself: JSON text, `nil` for nothing.
    public internal(set) var info: String?
    public internal(set) var muted: Set<Source>
    /// What comes of it now. Where the room changes its topology a track is another one, and `track` is told again.
    public internal(set) var tracks: [Source: MediaTransceiver]
  }

  /// Who connects to whom.
  public enum Topology: Sendable, Equatable {
    /// Each to each.
    case mesh
    /// Each to one of them, by its id, who passes everything on.
    case supernode(String)
    /// Each to the server.
    case sfu
  }

  /// Text, or any JSON value as text (RFC 8259).
  public enum Content: Sendable, Equatable {
    case text(String)
    case json(String)

    /// The text, or that of the JSON.
    public var text: String {
      switch self {
      case .text(let text), .json(let text): text
      }
    }
  }

  /// What was said in the chat.
  public struct Message: Sendable, Equatable {
    /// The id of who said it; `nil` for what somebody outside published in the channel `rooms/NAME`.
    public let from: String?
    public let name: String
    public let content: Content
    /// In milliseconds since 1970.
    public let time: Int64
  }

  public enum State: String, Sendable {
    case connected
    /// The way to the server broke and is made again; pictures and sound may go on meanwhile.
    case reconnecting
    case closed
  }

  @nonexhaustive public enum Event: Sendable {
    case joined(Participant)
    /// With the reason: `left`, `timeout`, `kicked`, `moved`, `expired`.
    case left(Participant, reason: String)
    /// Its name, what it says of itself, or what is muted.
    case changed(Participant)
    /// Somebody's track is there, or comes another way from now on: the one before ends, or is silent.
    case track(Participant, Source, MediaTransceiver)
    case trackEnded(Participant, Source)
    /// In the chat, from the time of joining on. What this participant says comes too.
    case message(Message)
    /// What a participant sent with `send(_:to:)`.
    case data(Content, from: Participant)
    case topology(Topology)
    case connection(State)
    /// The ids of who speaks, the loudest first; where the server passes the media on.
    case speaking([String])
    /// A moderator asks to be silent. It is done already.
    case mute(Set<Source>)
    /// A moderator asks us into the room of this name, and out of this one.
    case moved(to: String)
    /// Moderators hear of who waits in the lobby.
    case waiting(Participant)
    case locked(Bool)
    /// The server does not take part of the media, and says why: `noMedia` without the permission to publish, for example.
    case mediaRefused(Failure)
    /// Somebody needs a key frame of what is published.
    case keyFrameRequested(Source)
    /// The last event. A failure says what ended it; without one this side has left.
    case closed(Failure?)
  }

  /// What a server, or the network on the way to it, has against something. Two are equal when their codes are.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Those of docs/rooms.md, and those of this side.
    public enum Code: String, Sendable {
      case badCommand = "bad_command"
      case noCredentials = "no_credentials"
      case forbidden, gone, full, locked, limit, busy
      case noParticipant = "no_participant"
      case noMedia = "no_media"
      /// A moderator did not let us in.
      case refused
      /// A moderator ended our part in the room, or asks us into another one.
      case kicked, moved
      /// The token has ended.
      case expired
      /// No answer, or one that is none.
      case network
      /// On this side.
      case closed, cancelled
      /// The server answered with a code that is not known here.
      case other
    }

    public let code: Code
    /// A sentence for a person.
    public let description: String

    internal init(_ code: Code, _ description: String) { (self.code, self.description) = (code, description) }

    public static func == (a: Failure, b: Failure) -> Bool { a.code == b.code }
  }

  /// How large something is shown, for `setViews`.
  public struct View: Sendable, Equatable {
    /// The id of a participant.
    public var participant: String
    public var source: Source
    /// In pixels; `nil` for as large as it comes.
    public var width: Int?, height: Int?
    public var isPaused = false

    public init(_ participant: String, _ source: Source, width: Int? = nil, height: Int? = nil, isPaused: Bool = false) {
      (self.participant, self.source, self.width, self.height, self.isPaused) = (participant, source, width, height, isPaused)
    }
  }
}

extension Room {
  public struct Options: Sendable {
    /// What the others see: at most 128 bytes.
    public var name = ""
    /// And more of it, JSON text of at most 4 KiB.
    public var info: String?
    /// Asked before each connection to the server, and by `refreshToken`; without one the server's anonymous permissions apply.
    public var token: (@Sendable () async throws -> String)?
    /// Of connections to participants and to the server's media. The room adds the servers that it is told of.
    public var media = PeerConnection.Configuration()
    /// By name, such as `["VP8"]`: the codecs of video that are taken, the preferred one first. Empty takes all.
    public var videoCodecs: [String] = []
    /// The same of sound.
    public var audioCodecs: [String] = []
    /// For `wss`.
    public var trust = TLSTrust.system
    /// Called when a moderator has to let us in, with a sentence for a person; `join` waits for that.
    public var onWaiting: @Sendable (String) -> Void = { _ in }

    public init() {}
  }
}
