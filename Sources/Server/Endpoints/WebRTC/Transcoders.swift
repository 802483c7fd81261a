internal import MartletCodecs
package import MartletMedia
internal import MartletTranscode
internal import Synchronization

/// The transcoders of a server. Sound is cheap and always made; pictures take a core each, so their number is set.
package final class Transcoders: Sendable {
  private let video: Mutex<(running: Int, limit: Int)>

  /// - Parameter maximumVideo: pictures of so many streams are transcoded at once; 0 for none.
  package init(maximumVideo: Int) { video = Mutex((0, maximumVideo)) }

  package var runningVideo: Int { video.withLock { $0.running } }

  /// `nil` when it cannot be made, or too many are running; the track then stays as it is, and outputs say what they cannot carry.
  package func make(
    _ request: TranscodeRequest, deliver: @escaping @Sendable (TrackTranscoderOutput) -> Void
  ) -> (any TrackTranscoder)? {
    #if Transcoding
      if request.format.kind == .audio {
        let made = try? AudioTranscoder(from: request.format, to: request.target) { Self.pass($0, deliver) }
        return made.map { Sound($0) }
      }
      guard claim() else { return nil }
      guard let made = try? VideoTranscoder(from: request.format, deliver: { Self.pass($0, deliver) }) else {
        release()
        return nil
      }
      return Pictures(made) { [self] in release() }
    #else
      return nil
    #endif
  }

  private func claim() -> Bool {
    video.withLock { video in
      guard video.running < video.limit else { return false }
      video.running += 1
      return true
    }
  }

  private func release() { video.withLock { $0.running -= 1 } }

  #if Transcoding
    private static func pass(_ output: TranscoderOutput, _ deliver: (TrackTranscoderOutput) -> Void) {
      switch output {
      case .format(let format): deliver(.format(format))
      case .frames(let frames): deliver(.frames(frames))
      case .keyFrameNeeded: deliver(.keyFrameNeeded)
      case .warning(let reason), .failed(let reason): deliver(.failed(reason))
      case .ended: break
      }
    }

    private final class Sound: TrackTranscoder {
      private let transcoder: AudioTranscoder
      init(_ transcoder: AudioTranscoder) { self.transcoder = transcoder }
      func send(_ frame: Frame) { transcoder.send(frame) }
      func requestKeyFrame() {}
      func stop() { transcoder.stop() }
    }

    private final class Pictures: TrackTranscoder {
      private let transcoder: VideoTranscoder
      private var release: (() -> Void)?
      init(_ transcoder: VideoTranscoder, release: @escaping () -> Void) {
        self.transcoder = transcoder
        self.release = release
      }
      deinit { release?() }
      func send(_ frame: Frame) { transcoder.send(frame) }
      func requestKeyFrame() { transcoder.requestKeyFrame() }
      func stop() {
        transcoder.stop()
        release.take()?()
      }
    }
  #endif
}
