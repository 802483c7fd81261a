import MartletPrimitives
import MartletRTP
import Testing

@testable import MartletEndpoints

@Suite struct SpeechDetectorTests {
  private var now = Instant(nanoseconds: 1)

  /// Packets of 20 ms each; answers how often it changed its mind.
  private mutating func hear(_ attenuation: UInt8, for span: TimeSpan, _ detector: inout SpeechDetector) -> Int {
    var changes = 0
    for _ in 0..<Int(span.milliseconds / 20) {
      now = now + .milliseconds(20)
      if detector.receive(AudioLevel(isVoice: true, attenuation: attenuation), now: now) { changes += 1 }
    }
    return changes
  }

  @Test mutating func `who speaks is heard at once, and does not stop between words`() {
    var detector = SpeechDetector()
    let idle = hear(100, for: .seconds(2), &detector)
    #expect(idle == 0)
    let begun = hear(25, for: .milliseconds(300), &detector)
    #expect(begun == 1)
    #expect(detector.isSpeaking)
    for _ in 0..<5 {
      let changes = hear(90, for: .milliseconds(200), &detector) + hear(25, for: .milliseconds(400), &detector)
      #expect(changes == 0)
    }
    let ended = hear(110, for: .seconds(3), &detector)
    #expect(ended == 1)
    #expect(!detector.isSpeaking)
  }

  @Test mutating func `a cough is no speech, and silence without packets ends it`() {
    var detector = SpeechDetector()
    _ = hear(100, for: .seconds(1), &detector)
    let coughed = hear(30, for: .milliseconds(60), &detector)
    #expect(coughed == 0)
    _ = hear(25, for: .seconds(1), &detector)
    #expect(detector.isSpeaking)
    let (early, late) = (detector.timeout(now: now + .milliseconds(500)), detector.timeout(now: now + .seconds(2)))
    #expect(!early && late)
    #expect(!detector.isSpeaking)
  }
}
