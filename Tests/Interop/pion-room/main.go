// Many participants of a room who watch one of the others through the server's media, each with a Pion peer connection of its own:
//
//	pion-room http://HOST ROOM PARTICIPANT COUNT PACKETS
//
// Each joins by POST, listens at its inbox, which is what keeps it in the room, and subscribes to the camera and the microphone. A line of
// JSON tells of each that has received so many packets of both; all leave when standard input ends.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
)

type greeting struct {
	Ok          bool   `json:"ok"`
	Error       string `json:"error"`
	Participant string `json:"participant"`
	Key         string `json:"key"`
	Sdp         string `json:"sdp"`
	Channels    map[string]struct {
		Name   string `json:"name"`
		Cursor string `json:"cursor"`
	} `json:"channels"`
}

var output sync.Mutex

func tell(fields map[string]interface{}) {
	line, _ := json.Marshal(fields)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(line))
}

type bot struct {
	number               int
	server, room, target string
	packets              int
	key                  string
	peer                 *webrtc.PeerConnection
}

func (b *bot) ask(command map[string]interface{}) (*greeting, error) {
	if b.key != "" {
		command["key"] = b.key
	}
	body, _ := json.Marshal(command)
	response, err := http.Post(b.server+"/rooms/"+b.room, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer := &greeting{}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return nil, err
	}
	if !answer.Ok {
		return nil, fmt.Errorf("%v: %s", command["do"], answer.Error)
	}
	return answer, nil
}

// Whoever has a connection to its inbox is there.
func (b *bot) listen(inbox string) error {
	response, err := http.Get(b.server + "/channels/" + inbox + "/events")
	if err != nil {
		return err
	}
	go io.Copy(io.Discard, response.Body)
	return nil
}

func (b *bot) watch(api *webrtc.API) error {
	entered, err := b.ask(map[string]interface{}{"do": "join", "name": fmt.Sprintf("bot %d", b.number), "supernode": false})
	if err != nil {
		return err
	}
	b.key = entered.Key
	if err := b.listen(entered.Channels["inbox"].Name); err != nil {
		return err
	}
	if b.peer, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return err
	}
	var received sync.WaitGroup
	received.Add(2)
	b.peer.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { b.count(track, &received) })
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		direction := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := b.peer.AddTransceiverFromKind(kind, direction); err != nil {
			return err
		}
	}
	if err := b.offer(); err != nil {
		return err
	}
	received.Wait()
	tell(map[string]interface{}{"event": "received", "bot": b.number})
	return nil
}

func (b *bot) offer() error {
	offer, err := b.peer.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(b.peer)
	if err := b.peer.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	subscribe := []map[string]string{}
	for _, transceiver := range b.peer.GetTransceivers() {
		source := "camera"
		if transceiver.Kind() == webrtc.RTPCodecTypeAudio {
			source = "microphone"
		}
		subscribe = append(subscribe, map[string]string{"mid": transceiver.Mid(), "participant": b.target, "source": source})
	}
	answer, err := b.ask(map[string]interface{}{"do": "offer", "sdp": b.peer.LocalDescription().SDP, "subscribe": subscribe})
	if err != nil {
		return err
	}
	return b.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.Sdp})
}

func (b *bot) count(track *webrtc.TrackRemote, received *sync.WaitGroup) {
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		b.peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
	}
	for packets := 1; ; packets++ {
		if _, _, err := track.ReadRTP(); err != nil {
			return
		}
		if packets == b.packets {
			received.Done()
		}
	}
}

func main() {
	count, _ := strconv.Atoi(os.Args[4])
	packets, _ := strconv.Atoi(os.Args[5])
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = count
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		panic(err)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine))
	bots := []*bot{}
	for number := 0; number < count; number++ {
		b := &bot{number: number, server: os.Args[1], room: os.Args[2], target: os.Args[3], packets: packets}
		bots = append(bots, b)
		go func() {
			if err := b.watch(api); err != nil {
				tell(map[string]interface{}{"event": "error", "bot": b.number, "text": err.Error()})
			}
		}()
		// Not all in one instant: they are people.
		time.Sleep(20 * time.Millisecond)
	}
	io.Copy(io.Discard, os.Stdin)
	for _, b := range bots {
		b.ask(map[string]interface{}{"do": "leave"})
		if b.peer != nil {
			b.peer.Close()
		}
	}
}
