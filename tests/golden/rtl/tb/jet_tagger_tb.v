// Testbench of jet_tagger: an event a cycle, back to back; every word of every output
// is compared, latency and the distance between results are measured.
`timescale 1ns / 1ps
`default_nettype none
// verilator lint_off WIDTHEXPAND
module jet_tagger_tb;
    parameter LATENCY = 10; // cycles that the design promises
    integer input_file, expected_file, output_file;
    integer cycle, sent, received, words, mismatches, code, k;
    integer first_sent, first_received, last_received, widest;
    reg clk, in_valid, more;
    wire out_valid;
    reg signed [63:0] word, found;
    reg [7:0] in0;
    reg [5:0] in1;
    reg [14:0] in2;
    wire [9:0] out0;
    wire [6:0] out1;
    wire [35:0] out2;

    jet_tagger dut (
        .clk(clk),
        .in_valid(in_valid),
        .pT(in0),
        .clk_2(in1),
        .word(in2),
        .out(out0),
        .bits(out1),
        .begin_(out2),
        .out_valid(out_valid)
    );

    initial clk = 1'b0;
    always #(2.0835) clk = ~clk;

    task send; // the next event, or none
        begin
            code = 1;
            for (k = 0; k < 1 && code == 1; k = k + 1) begin
                code = $fscanf(input_file, "%d", word);
                in0[k * 8 +: 8] = word[7:0];
            end
            for (k = 0; k < 1 && code == 1; k = k + 1) begin
                code = $fscanf(input_file, "%d", word);
                in1[k * 6 +: 6] = word[5:0];
            end
            for (k = 0; k < 3 && code == 1; k = k + 1) begin
                code = $fscanf(input_file, "%d", word);
                in2[k * 5 +: 5] = word[4:0];
            end
            more = code == 1;
            in_valid = more;
            if (more) begin
                if (sent == 0) first_sent = cycle;
                sent = sent + 1;
            end
            if (!more) in0 = {8{1'bx}};
            if (!more) in1 = {6{1'bx}};
            if (!more) in2 = {15{1'bx}};
        end
    endtask

    task compare; // one word with the next that is expected
        begin
            code = $fscanf(expected_file, "%d", word);
            words = words + 1;
            if (code != 1 || word !== found) begin
                if (mismatches == 0)
                    $display("event %0d: expected %0d, found %0d", received, word, found);
                mismatches = mismatches + 1;
            end
            $fwrite(output_file, "%0d ", found);
        end
    endtask

    task receive;
        begin
            for (k = 0; k < 1; k = k + 1) begin
                found = $signed(out0[k * 10 +: 10]);
                compare;
            end
            for (k = 0; k < 1; k = k + 1) begin
                found = out1[k * 7 +: 7];
                compare;
            end
            for (k = 0; k < 4; k = k + 1) begin
                found = $signed(out2[k * 9 +: 9]);
                compare;
            end
            $fwrite(output_file, "\n");
            if (received == 0) first_received = cycle;
            else if (cycle - last_received > widest) widest = cycle - last_received;
            last_received = cycle;
            received = received + 1;
        end
    endtask

    initial begin
        input_file = $fopen("tb/input.txt", "r");
        expected_file = $fopen("tb/expected.txt", "r");
        output_file = $fopen("tb/output.txt", "w");
        cycle = 0; sent = 0; received = 0; words = 0; mismatches = 0; widest = 0;
        first_sent = 0; first_received = 0; last_received = 0;
        in_valid = 1'b0; more = 1'b1;
        repeat (3) @(negedge clk);
        while (more || (received < sent && cycle < sent + 2 * LATENCY + 10)) begin
            if (out_valid === 1'b1) receive;
            send;
            @(negedge clk) cycle = cycle + 1;
        end
        $fclose(output_file);
        $display("events=%0d words=%0d mismatches=%0d latency=%0d ii=%0d", received, words,
                 mismatches, first_received - first_sent, widest);
        if (words > 0 && mismatches == 0 && received == sent
            && first_received - first_sent == LATENCY && widest <= 1) $display("PASS");
        else $display("FAIL");
        $finish;
    end
endmodule
`default_nettype wire
